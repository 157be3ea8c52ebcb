"""``/api/v1/deletions`` and ``/api/v1/retention``: what is deleted on request, and what goes by itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.deletions import table
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import whole
from spanhouse_storage.erasure import Subject, SubjectKind
from spanhouse_storage.retention import KINDS, shown

router = APIRouter(prefix="/api/v1", tags=["deletions"])


class Wanted(BaseModel):
    """Whose records are to go: one of user, request_id, run_id and session, within a tenant."""

    model_config = ConfigDict(extra="forbid")

    tenant: str = Field(min_length=1, max_length=256)
    user: str = Field("", max_length=1_000)
    request_id: str = Field("", max_length=1_000)
    run_id: str = Field("", max_length=1_000)
    session: str = Field("", max_length=1_000)
    dry_run: bool = Field(True, description="Only say what would go")
    reason: str = Field("", max_length=2_000)

    @model_validator(mode="after")
    def _names_one(self) -> Wanted:
        if sum(bool(each) for each in self._named().values()) != 1:
            msg = "say exactly one of user, request_id, run_id and session"
            raise ValueError(msg)
        return self

    def _named(self) -> dict[SubjectKind, str]:
        return {"user": self.user, "request": self.request_id, "run": self.run_id, "session": self.session}

    def subject(self) -> Subject:
        """Return who is meant."""
        kind, value = next((kind, value) for kind, value in self._named().items() if value)
        return Subject(kind, value, self.tenant)


@router.post("/deletions")
def begin(request: Request, wanted: Wanted) -> Response:
    """Return what a deletion would take, or with ``dry_run`` false begin it and return it."""
    access = access_of(request)
    if foreign := access.foreign(frozenset({wanted.tenant})):
        detail = f"key {access.name} is for other tenants than {foreign[0][:100]!r}"
        raise Problem(HTTPStatus.FORBIDDEN, "The key is not for this tenant", detail)
    erasing, subject = whole(request).erasing, wanted.subject()
    if wanted.dry_run:
        return json_answer({"plan": erasing.plan(subject)})
    begun = erasing.begin(subject, by=access.name or "operator", reason=wanted.reason)
    return json_answer({"deletion": begun.as_json()}, HTTPStatus.ACCEPTED)


@router.get("/deletions")
def listed(request: Request) -> Response:
    """Return every deletion asked for, oldest first, within the caller's tenants."""
    tenants = access_of(request).tenants
    found = [each for each in table.every(whole(request).state) if tenants is None or each.subject.tenant in tenants]
    return json_answer({"deletions": [each.as_json() for each in found]})


@router.get("/deletions/{deletion_id}")
def one(request: Request, deletion_id: str) -> Response:
    """Return one deletion as it stands, with its receipt once it is done."""
    tenants = access_of(request).tenants
    try:
        found = table.get(whole(request).state, deletion_id)
    except table.DeletionNotFoundError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "There is no such deletion", str(error)) from error
    if tenants is not None and found.subject.tenant not in tenants:
        raise Problem(HTTPStatus.NOT_FOUND, "There is no such deletion", f"no deletion has the id {deletion_id[:80]!r}")
    return json_answer({"deletion": found.as_json()})


@router.get("/retention")
def lives(request: Request) -> Response:
    """Return how long each kind of row is kept, for everybody and for tenants that have lives of their own."""
    retention, tenants = whole(request).policy.current().lives(), access_of(request).tenants
    rows: list[dict[str, Any]] = [{"tenant": None, **{kind: shown(retention.default.of(kind)) for kind in KINDS}}]
    rows += [
        {"tenant": tenant, **{kind: shown(own.of(kind)) for kind in KINDS}}
        for tenant, own in sorted(retention.tenants.items())
        if tenants is None or tenant in tenants
    ]
    return json_answer({"retention": rows})

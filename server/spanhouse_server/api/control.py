"""``/api/v1/control``: operators set flags, agents wait for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_server import token
from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.control.audit import record_of
from spanhouse_server.control.flags import Action, Scope
from spanhouse_server.parts import parts_of

router = APIRouter(prefix="/api/v1/control", tags=["control"])


LONGEST_TTL_SECONDS = 3_660 * 86_400
LARGEST_BODY = 64 * 1024


class Decision(BaseModel):
    """What an operator asks for."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    scope: Scope
    target: str = Field("", max_length=256, description="Run id, agent, tool, user or tenant; empty for scope all")
    tenant: str = Field("", max_length=256, description="Only within this tenant; empty: in all of them")
    reason: str = Field("", max_length=2000)
    by: str = Field("operator", max_length=256)
    ttl_seconds: float | None = Field(None, gt=0, le=LONGEST_TTL_SECONDS)

    @model_validator(mode="after")
    def _names_what_it_means(self) -> Decision:
        if self.scope is Scope.ALL and self.target:
            msg = f"scope all takes no target and would reach beyond {self.target[:100]!r}: say what that is as scope"
            raise ValueError(msg)
        if self.scope is not Scope.ALL and not self.target.strip():
            msg = f"scope {self.scope.value} needs a target: the name or id of the {self.scope.value}"
            raise ValueError(msg)
        return self


@router.get("")
async def poll(
    request: Request,
    since: Annotated[str | None, Query(description="The etag of the last answer")] = None,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for a change")] = 0,
) -> Response:
    """Return the flags in force; with ``since`` and ``wait`` only once they change, else 304."""
    news = await parts_of(request).board.poll(since, wait)
    if news is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED)
    tag, in_force = news
    return json_answer({"etag": tag, "flags": [flag.as_json() for flag in in_force]}, headers={"ETag": f'"{tag}"'})


async def operator_only(
    request: Request, authorization: Annotated[str, Header(description="Bearer TOKEN")] = ""
) -> None:
    """Refuse who does not show the operator token, so that an agent on this machine cannot free itself.

    Raises:
        Problem: 401, saying where the token is.
    """
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.matches(given.strip(), parts_of(request).operator_token):
        return
    detail = (
        "send the operator token as 'Authorization: Bearer …'; "
        f"it is in {token.FILE_NAME} in the server's data directory"
    )
    raise Problem(
        HTTPStatus.UNAUTHORIZED, "Only an operator may do this", detail, {"WWW-Authenticate": 'Bearer realm="operator"'}
    )


@router.post("", status_code=HTTPStatus.CREATED, dependencies=[Depends(operator_only)], max_body_size=LARGEST_BODY)
async def decide(request: Request, decision: Decision) -> Response:
    """Set or lift a flag, and write the decision to the audit trail. Needs the operator token."""
    parts = parts_of(request)
    # The flag first: it must hold even where the trail cannot be written.
    flag = await parts.board.set(**decision.model_dump())
    try:
        await parts.pipeline.submit(record_of(flag))
    except JournalUnavailableError as error:
        detail = f"flag {flag.id} ({flag.action} {flag.scope} {flag.target}) holds, but no audit event says so: {error}"
        headers = {"Retry-After": str(error.retry_after)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The decision is not audited", detail, headers) from error
    return json_answer(flag.as_json(), HTTPStatus.CREATED)

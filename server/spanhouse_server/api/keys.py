"""``/api/v1/keys``: made, listed, revoked and rotated. A key's text is in the answer that makes it and nowhere else."""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.keys import table
from spanhouse_server.keys.gate import access_of
from spanhouse_server.keys.guard import Guard
from spanhouse_server.keys.rights import Access, Role
from spanhouse_server.keys.table import Key
from spanhouse_server.parts import whole

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

LARGEST_BODY = 1 << 20
LONGEST_SECONDS = 3_660 * 86_400
_SECRET = {"Cache-Control": "no-store"}

log = logging.getLogger(__name__)


class Wanted(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    tenants: list[str] = Field(description="Tenants it speaks for; * alone for all", max_length=table.MOST_TENANTS)
    role: Role
    environment: str = Field("", max_length=256, description="Of records that name none themselves")
    name: str = Field("", max_length=200, description="What it is for, for people")
    expires_seconds: float | None = Field(None, gt=0, le=LONGEST_SECONDS, description="None: it does not run out")


class Rotation(BaseModel):
    """How long the key that is replaced goes on working."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Annotated[float, Field(ge=0, le=LONGEST_SECONDS)] = 86_400


@router.get("")
def listed(request: Request) -> Response:
    """Return every key the caller may manage, oldest first, without its secret."""
    guard, access = whole(request).guard, access_of(request)
    guard.ring.flush()
    now = guard.ring.clock()
    found = [key.as_json(now) for key in table.all_keys(guard.ring.engine) if _within(access, key.tenants)]
    return json_answer({"keys": found})


@router.post("", status_code=HTTPStatus.CREATED, max_body_size=LARGEST_BODY)
def made(request: Request, wanted: Wanted) -> Response:
    """Make a key and return it with its text, which cannot be shown again."""
    guard, access = whole(request).guard, access_of(request)
    try:
        tenants = table.tenants_of(wanted.tenants)
    except table.TenantsError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "The tenants cannot be used", str(error)) from None
    if not _within(access, tenants):
        detail = f"key {access.name} may make keys for its own tenants only"
        raise Problem(HTTPStatus.FORBIDDEN, "The key is not for these tenants", detail)
    now = guard.ring.clock()
    key, text = table.create(
        guard.ring.engine,
        tenants=tenants,
        role=wanted.role,
        environment=wanted.environment,
        name=wanted.name,
        created_by=access.name,
        expires_at=now + timedelta(seconds=wanted.expires_seconds) if wanted.expires_seconds else None,
        now=now,
    )
    guard.ring.changed()
    log.info("key %s with role %s made by %s", key.id, key.role, access.name)
    return json_answer({"key": key.as_json(now), "secret": text}, HTTPStatus.CREATED, _SECRET)


@router.post("/{key_id}/revoke")
def revoked(request: Request, key_id: str) -> Response:
    """End a key and return it: this server refuses it at once, others on the same state within half a minute."""
    guard, access = whole(request).guard, access_of(request)
    now = guard.ring.clock()
    _find(guard, access, key_id)
    key = table.revoke(guard.ring.engine, key_id, access.name, now)
    guard.ring.changed()
    log.info("key %s revoked by %s", key.id, access.name)
    return json_answer({"key": key.as_json(now)})


@router.post("/{key_id}/rotate", status_code=HTTPStatus.CREATED, max_body_size=LARGEST_BODY)
def rotated(request: Request, key_id: str, rotation: Rotation) -> Response:
    """Make a key like this one, which itself ends after the overlap; return the new one with its text, and the old."""
    guard, access = whole(request).guard, access_of(request)
    now = guard.ring.clock()
    _find(guard, access, key_id)
    overlap = timedelta(seconds=rotation.overlap_seconds)
    try:
        old, new, text = table.rotate(guard.ring.engine, key_id, overlap, access.name, now)
    except table.KeyEndedError as error:
        raise Problem(HTTPStatus.CONFLICT, "The key has ended", str(error)) from None
    guard.ring.changed()
    log.info("key %s rotated to %s by %s", old.id, new.id, access.name)
    answer = {"key": new.as_json(now), "secret": text, "replaced": old.as_json(now)}
    return json_answer(answer, HTTPStatus.CREATED, _SECRET)


def _within(access: Access, tenants: frozenset[str] | None) -> bool:
    return access.tenants is None or (tenants is not None and tenants <= access.tenants)


def _find(guard: Guard, access: Access, key_id: str) -> Key:
    """Return a key that the caller may manage.

    Raises:
        Problem: 404; a key of other tenants is not said to exist.
    """
    missing = Problem(HTTPStatus.NOT_FOUND, "No such key", f"no key has the id {key_id[:80]!r}; GET /api/v1/keys")
    try:
        key = table.get(guard.ring.engine, key_id)
    except table.KeyNotFoundError:
        raise missing from None
    if not _within(access, key.tenants):
        raise missing
    return key

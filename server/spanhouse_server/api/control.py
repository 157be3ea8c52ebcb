"""``/api/v1/control``: operators set flags, agents wait for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanhouse_server import token
from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.control.audit import record_of
from spanhouse_server.control.flags import Action, Scope
from spanhouse_server.parts import Parts, parts_of

router = APIRouter(prefix="/api/v1/control", tags=["control"])


class Decision(BaseModel):
    """What an operator asks for."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    scope: Scope
    target: str = Field("", max_length=256, description="Run id, agent, tool, user or tenant; empty for scope all")
    tenant: str = Field("", max_length=256, description="Only within this tenant; empty: in all of them")
    reason: str = Field("", max_length=2000)
    by: str = Field("operator", max_length=256)
    ttl_seconds: float | None = Field(None, gt=0)


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


@router.post("", status_code=HTTPStatus.CREATED)
async def decide(
    request: Request, decision: Decision, authorization: Annotated[str, Header(description="Bearer TOKEN")] = ""
) -> Response:
    """Set or lift a flag. Needs the operator token, so that an agent on this machine cannot free itself."""
    parts = parts_of(request)
    _check_operator(parts, authorization)
    if decision.scope is not Scope.ALL and not decision.target:
        detail = f"scope {decision.scope.value!r} needs a target: the name or id of the {decision.scope.value}"
        raise Problem(HTTPStatus.BAD_REQUEST, "A decision names nothing", detail)
    flag = await parts.board.set(**decision.model_dump())
    await parts.pipeline.submit(record_of(flag))
    return json_answer(flag.as_json(), HTTPStatus.CREATED)


def _check_operator(parts: Parts, authorization: str) -> None:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.matches(given.strip(), parts.operator_token):
        return
    detail = (
        f"send the operator token as 'Authorization: Bearer …'; it is in {parts.settings.data_dir / token.FILE_NAME}"
    )
    raise Problem(HTTPStatus.UNAUTHORIZED, "Only an operator may do this", detail)

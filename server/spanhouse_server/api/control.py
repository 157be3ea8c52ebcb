"""``/api/v1/control``: operators set flags, agents wait for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.control.details import checked_arguments, checked_grant, checked_limits
from spanhouse_server.control.flags import NEXT_SECONDS, OF_A_CALL, OF_A_RUN, WITH_LIMITS, Action, Scope
from spanhouse_server.keys.gate import access_of
from spanhouse_server.keys.rights import Access
from spanhouse_server.parts import parts_of

router = APIRouter(prefix="/api/v1/control", tags=["control"])


LONGEST_TTL_SECONDS = 3_660 * 86_400
LARGEST_BODY = 64 * 1024
LONGEST_NAME = 256


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
    limits: dict[str, float] | None = Field(None, description="For tighten and raise, such as {'max_usd': 0.1}")
    tool: str = Field("", max_length=256, description="For edit_next and refuse_next: calls of this tool alone")
    arguments: dict[str, Any] | None = Field(None, description="For edit_next: what the call is made with")
    resources: dict[str, list[str]] | None = Field(
        None, description="For grant: globs of paths and URLs by argument, such as {'path': ['/data/**']}"
    )

    @model_validator(mode="after")
    def _names_what_it_means(self) -> Decision:
        if self.scope is Scope.ALL and self.target:
            msg = f"scope all takes no target and would reach beyond {self.target[:100]!r}: say what that is as scope"
            raise ValueError(msg)
        if self.scope is not Scope.ALL and not self.target.strip():
            msg = f"scope {self.scope.value} needs a target: the name or id of the {self.scope.value}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _says_what_its_action_needs(self) -> Decision:
        action = self.action
        if action in OF_A_RUN and self.scope is not Scope.RUN:
            msg = f"action {action.value} is for one run: scope run, and its id as target"
            raise ValueError(msg)
        if (self.limits is not None) != (action in WITH_LIMITS):
            msg = "limits belong to the actions tighten and raise, and to them alone"
            raise ValueError(msg)
        if (self.arguments is not None) != (action is Action.EDIT_NEXT):
            msg = "arguments belong to the action edit_next, and to it alone"
            raise ValueError(msg)
        if action is Action.TIGHTEN and self.scope is Scope.TOOL:
            msg = "a tool has no limits to tighten: disable or pause it, or tighten runs, agents, users or tenants"
            raise ValueError(msg)
        if self.tool and action not in {*OF_A_CALL, Action.GRANT}:
            msg = f"tool belongs to the actions edit_next, refuse_next and grant: to {action.value} one, use scope tool"
            raise ValueError(msg)
        if self.limits is not None:
            self.limits = checked_limits(self.limits)
        if self.arguments is not None:
            self.arguments = checked_arguments(self.arguments)
        if self.ttl_seconds is None and action in OF_A_CALL:
            self.ttl_seconds = NEXT_SECONDS
        return self

    @model_validator(mode="after")
    def _grants_something(self) -> Decision:
        if self.action is Action.GRANT:
            checked_grant(self.scope, self.tool, self.ttl_seconds, self.resources or {})
        elif self.resources is not None:
            msg = "resources belong to the action grant, and to it alone"
            raise ValueError(msg)
        return self

    def as_flag(self) -> dict[str, Any]:
        """Return the keywords of ``flags.add``."""
        said = self.model_dump(exclude={"limits", "tool", "arguments", "resources"})
        details = {"limits": self.limits, "tool": self.tool or None, "arguments": self.arguments}
        details["resources"] = self.resources
        return {**said, "details": {name: value for name, value in details.items() if value is not None}}


def within(access: Access, decision: Decision) -> Decision:
    """Return a decision with the caller's tenant and name in it.

    Raises:
        Problem: it reaches beyond the tenants of the caller's key.
    """
    if access.key:
        decision = decision.model_copy(update={"by": f"{decision.by} (key {access.name})"[:LONGEST_NAME]})
    if access.tenants is None:
        return decision
    meant = decision.target if decision.scope is Scope.TENANT else decision.tenant
    tenant = decision.tenant or meant or (min(access.tenants) if len(access.tenants) == 1 else "")
    if not tenant:
        detail = f"key {access.name} is for several tenants: say in which of them the flag holds, as tenant"
        raise Problem(HTTPStatus.BAD_REQUEST, "No tenant is named", detail)
    foreign = access.foreign(frozenset({tenant, meant or tenant}))
    if foreign:
        detail = f"key {access.name} is for other tenants than {foreign[0][:100]!r}"
        raise Problem(HTTPStatus.FORBIDDEN, "The key is not for this tenant", detail)
    return decision.model_copy(update={"tenant": tenant})


@router.get("")
async def poll(
    request: Request,
    since: Annotated[str | None, Query(description="The etag of the last answer")] = None,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for a change")] = 0,
) -> Response:
    """Return the flags in force; with ``since`` and ``wait`` only once they change, else 304."""
    news = await parts_of(request).board.poll(since, wait, access_of(request).tenants)
    if news is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED)
    tag, in_force = news
    return json_answer({"etag": tag, "flags": [flag.as_json() for flag in in_force]}, headers={"ETag": f'"{tag}"'})


@router.post("", status_code=HTTPStatus.CREATED, max_body_size=LARGEST_BODY)
async def decide(request: Request, decision: Decision) -> Response:
    """Set or lift a flag, and write the decision to the audit trail. Needs the operator token, or a key to operate."""
    parts = parts_of(request)
    decision = within(access_of(request), decision)
    flag = await parts.board.set(**decision.as_flag())
    # The event was written down with the flag: where the journal takes nothing now, it is sent later.
    await parts.trail.try_to_send()
    return json_answer(flag.as_json(), HTTPStatus.CREATED)

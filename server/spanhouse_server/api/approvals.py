"""``/api/v1/approvals``: agents ask and wait, operators answer. Who asked can never answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from spanhouse.canonical import args_hash
from spanhouse.redaction import redact
from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.approvals.table import (
    Approval,
    ApprovalOverError,
    Kind,
    NoSuchApprovalError,
    OtherArgumentsError,
    Question,
    State,
)
from spanhouse_server.control.details import checked_arguments
from spanhouse_server.keys.gate import access_of
from spanhouse_server.keys.rights import Access, Right
from spanhouse_server.parts import Parts, whole

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])

LARGEST_BODY = 128 * 1024
LONGEST_SECONDS = 7 * 86_400.0
LONGEST_TEXT = 8_000
LONGEST_BY = 512
_CUT: Final = re.compile(r"\[REDACTED:[^\]]*\]")
_FROM: Final = ("tenant", "run_id", "request_id", "user_id", "agent", "tool")
_SECRET: Final = {"Cache-Control": "no-store"}

Name = Annotated[str, Field(max_length=256)]


class Wanted(BaseModel):
    """A question of an agent."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind = Kind.CALL
    run_id: str = Field(min_length=1, max_length=256)
    tenant: Name = ""
    request_id: Name = ""
    user_id: Name = ""
    agent: Name = ""
    tool: Name = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    args_hash: str = Field("", max_length=64)
    question: str = Field("", max_length=LONGEST_TEXT)
    rule: str = Field("", max_length=512)
    why: str = Field("", max_length=LONGEST_TEXT)
    policy_version: Name = ""
    expires_in: float = Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False, description="Seconds; then it is refused")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Wanted:
        if self.kind is Kind.CALL and not self.tool:
            msg = "a question about a call needs the tool"
            raise ValueError(msg)
        if self.kind is Kind.INPUT and not self.question.strip():
            msg = "a question for a text needs the question"
            raise ValueError(msg)
        self.arguments = checked_arguments(self.arguments)
        digest = args_hash(self.arguments)
        if self.kind is Kind.CALL and self.args_hash != digest:
            msg = f"args_hash is {self.args_hash[:64]!r}, but the arguments have {digest!r}"
            raise ValueError(msg)
        self.args_hash = digest
        return self


class Answer(BaseModel):
    """What an operator says."""

    model_config = ConfigDict(extra="forbid")

    approved: bool
    args_hash: str = Field(max_length=64, description="That of the question: what the person saw")
    by: str = Field("operator", min_length=1, max_length=256)
    reason: str = Field("", max_length=2_000)
    arguments: dict[str, Any] | None = Field(None, description="What to call with instead of what was asked")
    text: str = Field("", max_length=LONGEST_TEXT, description="The answer to a question for a text")

    @model_validator(mode="after")
    def _can_be_meant(self) -> Answer:
        if self.arguments is not None:
            self.arguments = checked_arguments(self.arguments)
            if _CUT.search(json.dumps(self.arguments)):
                msg = "the arguments hold [REDACTED:…]: write what is meant in its place, or approve what was asked"
                raise ValueError(msg)
        return self


@router.post("", status_code=HTTPStatus.CREATED, max_body_size=LARGEST_BODY)
async def asked(request: Request, wanted: Wanted) -> Response:
    """Put a question; the answer is at its id. An ingest key is enough, for its own tenants."""
    parts, access = whole(request), access_of(request)
    tenant = wanted.tenant or (min(access.tenants) if access.tenants and len(access.tenants) == 1 else DEFAULT_TENANT)
    foreign = access.foreign(frozenset({tenant}))
    if foreign:
        detail = f"key {access.name} is for other tenants than {foreign[0][:100]!r}"
        raise Problem(HTTPStatus.FORBIDDEN, "The key is not for this tenant", detail)
    question = Question(
        kind=wanted.kind,
        tenant=tenant,
        run_id=wanted.run_id,
        request_id=wanted.request_id,
        user_id=wanted.user_id,
        agent=wanted.agent,
        tool=wanted.tool or "need_input",
        # People see what is asked, not the secrets in it; the hash is that of the whole.
        arguments=redact(json.dumps(wanted.arguments, ensure_ascii=False))[0],
        args_hash=wanted.args_hash,
        question=redact(wanted.question)[0],
        rule=wanted.rule,
        why=redact(wanted.why)[0],
        policy_version=wanted.policy_version,
        asked_by_key=access.key,
    )
    made = await parts.desk.ask(question, wanted.expires_in)
    return json_answer(shown(made, parts.desk.clock()), HTTPStatus.CREATED, _SECRET)


@router.get("")
async def listed(
    request: Request,
    state: Annotated[State | None, Query(description="waiting by default")] = State.WAITING,
    every: Annotated[bool, Query(alias="all", description="Of every state")] = False,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for others than the known")] = 0,
    known: Annotated[str, Query(max_length=20_000, description="Ids the caller has, with commas between")] = "",
) -> Response:
    """Return questions of the caller's tenants: those that wait, oldest first, or of another state, newest first."""
    parts, access = whole(request), access_of(request)
    ids = frozenset(each for each in known.split(",") if each)
    found = await parts.desk.listed(None if every else state, access.tenants, wait, ids)
    now = parts.desk.clock()
    return json_answer({"approvals": [shown(each, now) for each in found]}, headers=_SECRET)


@router.get("/{approval_id}")
async def one(
    request: Request,
    approval_id: str,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the answer")] = 0,
) -> Response:
    """Return a question and its answer, to who asked it and to operators; with ``wait`` once it is answered."""
    parts, access = whole(request), access_of(request)
    await _found(parts, access, approval_id)
    found = await parts.desk.get(approval_id, wait)
    return json_answer(shown(found, parts.desk.clock()), headers=_SECRET)


@router.post("/{approval_id}/answer", max_body_size=LARGEST_BODY)
async def answered(request: Request, approval_id: str, answer: Answer) -> Response:
    """Approve or refuse, with other arguments where wanted. Operators only; once; not by the key that asked."""
    parts, access = whole(request), access_of(request)
    found = await _found(parts, access, approval_id)
    if access.key and access.key == found.asked.asked_by_key:
        detail = f"key {access.name} asked this question: whoever asks cannot answer"
        raise Problem(HTTPStatus.FORBIDDEN, "Who asked may not answer", detail)
    if found.asked.kind is Kind.INPUT and answer.approved and not answer.text.strip():
        raise Problem(HTTPStatus.BAD_REQUEST, "No text is given", "this question asks for a text: give it as text")
    if found.asked.kind is Kind.INPUT and answer.arguments is not None:
        raise Problem(HTTPStatus.BAD_REQUEST, "There is no call", "this question asks for a text, not about a call")
    by = f"{answer.by} (key {access.name})"[:LONGEST_BY] if access.key else answer.by
    try:
        done = await parts.desk.answer(
            approval_id,
            approved=answer.approved,
            digest=answer.args_hash,
            by=by,
            reason=answer.reason,
            arguments=answer.arguments,
            text=answer.text,
        )
    except OtherArgumentsError as error:
        raise Problem(HTTPStatus.CONFLICT, "The answer is about other arguments", str(error)) from None
    except ApprovalOverError as error:
        raise Problem(HTTPStatus.CONFLICT, "The approval is over", str(error)) from None
    await parts.trail.try_to_send()
    return json_answer(shown(done, parts.desk.clock()))


@router.post("/{approval_id}/withdraw")
async def withdrawn(request: Request, approval_id: str) -> Response:
    """Take a question back: its time is up, or its run has ended. One that was answered stays so."""
    parts, access = whole(request), access_of(request)
    await _found(parts, access, approval_id)
    return json_answer(shown(await parts.desk.withdraw(approval_id), parts.desk.clock()))


def shown(approval: Approval, now: datetime) -> dict[str, Any]:
    """Return an approval as the API shows it: RFC 3339 times, null for what is not known."""
    asked = approval.asked
    over = approval.state is not State.WAITING
    return {
        "id": approval.id,
        "kind": asked.kind.value,
        "state": approval.state.value,
        **{name: getattr(asked, name) or None for name in _FROM},
        "arguments": _json(asked.arguments),
        "args_hash": asked.args_hash,
        **{name: getattr(asked, name) or None for name in ("question", "rule", "why", "policy_version")},
        "asked_at": _stamp(approval.asked_at),
        "expires_at": _stamp(approval.expires_at),
        "seconds": round(approval.seconds(now), 3),
        "answered_at": _stamp(approval.answered_at) if over else None,
        "by": approval.by or None,
        "reason": approval.reason or None,
        "answer_arguments": _json(approval.answer_arguments),
        "answer_text": approval.answer_text or None,
    }


async def _found(parts: Parts, access: Access, approval_id: str) -> Approval:
    """Return a question the caller may know of.

    Raises:
        Problem: 404; one of another tenant, or for an agent one of another key, is not said to exist.
    """
    missing = Problem(HTTPStatus.NOT_FOUND, "No such approval", f"no approval has the id {approval_id[:80]!r}")
    try:
        found = await parts.desk.get(approval_id)
    except NoSuchApprovalError:
        raise missing from None
    may_answer = Right.STEER in access.rights
    if access.foreign(frozenset({found.asked.tenant})) or not (may_answer or found.asked.asked_by_key == access.key):
        raise missing
    return found


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    if not text:
        return None
    decode: Callable[[str], Any] = json.loads
    try:
        return decode(text)
    except ValueError:
        # Cutting a secret out may have left text that is no JSON any more.
        return text


def _stamp(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None

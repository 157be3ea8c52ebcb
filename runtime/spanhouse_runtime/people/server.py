"""Questions carried to people through a Spanhouse server: its CLI, its API and its pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanhouse.canonical import args_hash
from spanhouse.client import Client
from spanhouse.errors import ServerError
from spanhouse.notices import warn_once
from spanhouse_runtime.guard.approval import ApprovalAnswer, ApprovalRequest
from spanhouse_runtime.people.asking import InputAnswer, InputRequest

WAIT_SECONDS: Final = 0.5
"""How long one look waits for the answer: an operator's stop is looked for between two looks."""

_OVER: Final = frozenset({"denied", "withdrawn"})
_REFUSED: Final = range(400, 500)
_LATER: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an answer has to be about."""

    run_id: str
    args_hash: str


class ServerApprover:
    """Puts questions to a server and waits for what its operators say; ``guard.Approver`` and ``InputChannel``.

    What cannot be asked is refused: the server answers NaN, arguments that are no JSON object or another tenant's key
    with a refusal, and an answer that is not about what was asked is none. A server that is away in between is asked
    again until the time is up.

    Args:
        client: with a key that may send, or on loopback without one. A key that may answer cannot answer what it asks.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[str, _Asked] = {}
        self._lock = threading.Lock()

    def ask(self, request: ApprovalRequest) -> str:
        """Put the question and return its id.

        Raises:
            ServerError: the server refused it or is away.
            ValueError: the arguments are no plain JSON.
        """
        # A NaN would be text to one and no number to another: what is shown must be what is done.
        arguments = json.loads(json.dumps(dict(request.arguments), allow_nan=False))
        if args_hash(arguments) != request.args_hash:
            msg = f"the arguments of {request.tool} have no form in JSON that a person could be shown"
            raise ValueError(msg)
        return self._put(
            kind="call",
            run_id=request.run_id,
            request_id=request.request_id,
            tenant=request.tenant,
            user_id=request.user_id,
            agent=request.agent,
            tool=request.tool,
            arguments=arguments,
            args_hash=request.args_hash,
            rule=request.rule,
            why=request.why,
            policy_version=request.policy_version,
            expires_in=request.expires_in,
        )

    def answer(self, approval_id: str) -> ApprovalAnswer | None:
        """Return what was said, or None while nobody has; what is not about this question is a refusal."""
        found = self._look(approval_id)
        if found is None:
            return None
        by, reason = str(found.get("by") or "nobody"), str(found.get("reason") or "")
        if found["state"] in _OVER:
            return ApprovalAnswer(approved=False, by=by, reason=reason or str(found["state"]))
        arguments = found.get("answer_arguments")
        if arguments is not None and not isinstance(arguments, Mapping):
            return ApprovalAnswer(approved=False, by=by, reason="the arguments that came back are no object")
        return ApprovalAnswer(
            approved=found["state"] == "approved",
            by=by,
            reason=reason,
            args_hash=str(found.get("args_hash") or ""),
            arguments=arguments,
        )

    def ask_input(self, request: InputRequest) -> str:
        """Put a question for a text and return its id.

        Raises:
            ServerError: the server refused it or is away.
        """
        return self._put(
            kind="input",
            run_id=request.run_id,
            request_id=request.request_id,
            tenant=request.tenant,
            user_id=request.user_id,
            agent=request.agent,
            question=request.question,
            why=request.why,
            expires_in=request.expires_in,
        )

    def input_answer(self, question_id: str) -> InputAnswer | None:
        """Return the text that was answered, or None while nobody has."""
        found = self._look(question_id)
        if found is None:
            return None
        text = found.get("answer_text") if found["state"] == "approved" else None
        reason = found.get("reason") or (found["state"] if found["state"] in _OVER else "")
        return InputAnswer(text=text, by=str(found.get("by") or "nobody"), reason=str(reason))

    def withdraw(self, approval_id: str) -> None:
        """Take the question back; where the server is away it runs out there by itself."""
        with self._lock:
            self._asked.pop(approval_id, None)
        try:
            self._client.withdraw_approval(approval_id)
        except ServerError as error:
            warn_once("approvals", f"an approval could not be taken back and runs out by itself: {error}")

    def _put(self, **question: Any) -> str:  # noqa: ANN401 - as Client.ask_approval takes it
        made = self._client.ask_approval(**question)
        approval_id = str(made["id"])
        with self._lock:
            self._asked[approval_id] = _Asked(question["run_id"], str(made["args_hash"]))
        return approval_id

    def _look(self, approval_id: str) -> Mapping[str, Any] | None:
        """Return the question once it is over; None while it waits."""
        with self._lock:
            asked = self._asked.get(approval_id)
        if asked is None:
            # An answer to what this agent did not ask, or no longer asks, is nobody's.
            return {"state": "denied", "reason": "this question is not asked any more"}
        try:
            found = self._client.approval(approval_id, wait=WAIT_SECONDS)
        except ServerError as error:
            if error.status in _REFUSED and error.status not in _LATER:
                return {"state": "denied", "reason": f"the server knows nothing of the question: {error}"}
            return None
        # That time is up is said by who asked, by their own clock.
        if found.get("state") in {"waiting", "expired"}:
            return None
        with self._lock:
            self._asked.pop(approval_id, None)
        if (found.get("id"), found.get("run_id")) != (approval_id, asked.run_id) or (
            found.get("args_hash") != asked.args_hash
        ):
            return {"state": "denied", "reason": "the answer is about another question"}
        return found

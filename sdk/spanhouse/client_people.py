"""What the client says to people and hears from them: approvals and feedback."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import requests

from spanhouse.http_errors import decoded

Json = dict[str, Any]
_LATE = 5.0
"""Seconds an answer may be late: an agent that cannot hear its operator should know soon."""


class PeopleApi(ABC):
    """The part of ``spanhouse.client.Client`` for approvals and feedback."""

    def ask_approval(self, **question: Any) -> Json:  # noqa: ANN401 - the fields of the question
        """Put a question to people and return it, waiting; an ingest key is enough.

        Args:
            question: ``kind`` (``call``, ``input``), ``run_id``, ``tenant``, ``request_id``, ``user_id``, ``agent``,
                ``tool``, ``arguments``, ``args_hash``, ``question``, ``rule``, ``why``, ``policy_version``,
                ``expires_in`` (seconds).
        """
        return self._send("POST", "/api/v1/approvals", json=question)

    def approval(self, approval_id: str, *, wait: float = 0) -> Json:
        """Return one question, once it is answered or ``wait`` seconds have passed."""
        return self._send("GET", f"/api/v1/approvals/{_part(approval_id)}", params={"wait": wait}, timeout=wait + _LATE)

    def approvals(
        self, *, state: str = "waiting", every: bool = False, wait: float = 0, known: Collection[str] = ()
    ) -> list[Json]:
        """Return questions of one state, or of every: those that wait oldest first; needs the operator token.

        Args:
            state: waiting, approved, denied, expired or withdrawn.
            every: of every state, newest first.
            wait: seconds to wait for others than the known.
            known: ids the caller has.
        """
        asked = {
            "state": None if every else state,
            "all": every or None,
            "wait": wait,
            "known": ",".join(known) or None,
        }
        found: list[Json] = self._send("GET", "/api/v1/approvals", params=asked, timeout=wait + _LATE)["approvals"]
        return found

    def answer_approval(
        self,
        approval_id: str,
        *,
        approved: bool,
        args_hash: str,
        by: str | None = None,
        reason: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        text: str | None = None,
    ) -> Json:
        """Approve or refuse, once, and return the question; needs the operator token.

        Args:
            approval_id: of the question.
            approved: whether the call may be made.
            args_hash: that of the question as the person saw it.
            by: who says so.
            reason: why; the agent's model is told.
            arguments: what to call with instead of what was asked.
            text: the answer to a question for a text.
        """
        said = {"by": by, "reason": reason, "text": text, "arguments": None if arguments is None else dict(arguments)}
        body = {"approved": approved, "args_hash": args_hash, **{k: v for k, v in said.items() if v is not None}}
        return self._send("POST", f"/api/v1/approvals/{_part(approval_id)}/answer", json=body)

    def withdraw_approval(self, approval_id: str) -> Json:
        """Take a question back and return it; one that is over stays as it is."""
        return self._send("POST", f"/api/v1/approvals/{_part(approval_id)}/withdraw")

    def give_feedback(self, **score: Any) -> Json:  # noqa: ANN401 - the fields of the score
        """Say how good a run, a request or one span of it was, and return the score as it was taken.

        Args:
            score: one of ``run_id``, ``request_id``, ``trace_id``; ``span_id``, ``name``, ``value``, ``label``,
                ``comment``, ``by``, ``tenant``.
        """
        return self._send("POST", "/api/v1/scores", json={k: v for k, v in score.items() if v is not None})

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Json | None = None,
        timeout: float | None = None,
    ) -> Json:
        return decoded(self._request(method, path, params=params, json=json, timeout=timeout))

    @abstractmethod
    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Json | None = None,
        timeout: float | None = None,
    ) -> requests.Response:
        """Return the answer to one request."""


def _part(text: str) -> str:
    return quote(text, safe="")

"""Asking a person for a text: what they are shown, what they answer, and who carries it there and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class InputRequest:
    """What a person is asked for.

    Attributes:
        run_id, request_id, tenant, user_id, agent: where the question comes from; empty where not known.
        question: in plain words.
        why: what happens without an answer, or why it is asked.
        expires_in: seconds after which nobody answered.
    """

    run_id: str
    request_id: str
    tenant: str
    user_id: str
    agent: str
    question: str
    why: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class InputAnswer:
    """What a person said: ``text``, or None where they would not answer, with their reason."""

    text: str | None
    by: str
    reason: str = ""


@runtime_checkable
class InputChannel(Protocol):
    """Carries questions for a text to people. Methods may block."""

    def ask_input(self, request: InputRequest) -> str:
        """Put the question and return its id."""

    def input_answer(self, question_id: str) -> InputAnswer | None:
        """Return what was said, or None while nobody has."""

    def withdraw(self, approval_id: str) -> None:
        """Take the question back."""

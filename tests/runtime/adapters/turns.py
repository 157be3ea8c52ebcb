"""What a stub model says in turn, in no framework's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

INPUT_TOKENS, OUTPUT_TOKENS = 100, 10


@dataclass(frozen=True)
class Turn:
    """One answer: a call where ``tool`` is given, else a text."""

    text: str = ""
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


def call(tool: str, **arguments: Any) -> Turn:
    """Return a turn that asks for a call."""
    return Turn(tool=tool, arguments=arguments)


class Script:
    """Turns one after another, then ``done`` for ever; says how many were taken."""

    def __init__(self, *turns: Turn) -> None:
        self._turns: Iterator[Turn] = iter(turns)
        self.taken = 0

    def next(self) -> Turn:
        """Return the next turn."""
        self.taken += 1
        return next(self._turns, Turn(text="done"))


class Desk:
    """A person who approves or refuses whatever is asked, with other arguments where given."""

    def __init__(self, *, approves: bool, arguments: dict[str, Any] | None = None) -> None:
        self.approves, self.arguments = approves, arguments
        self.asked: list[Any] = []

    def ask(self, request: Any) -> str:
        """Note the question."""
        self.asked.append(request)
        return f"q-{len(self.asked)}"

    def answer(self, approval_id: str) -> Any:
        """Answer it."""
        from spanhouse_runtime.guard import ApprovalAnswer  # noqa: PLC0415 - the tests' own time to import it

        shown = self.asked[int(approval_id.removeprefix("q-")) - 1].args_hash
        return ApprovalAnswer(self.approves, "maria", "as discussed", shown, self.arguments)

    def withdraw(self, approval_id: str) -> None:
        """Nothing is left open."""

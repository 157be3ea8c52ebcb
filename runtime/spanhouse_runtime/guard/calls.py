"""What passes the guard: calls that ask to be made, and the refusal that a model is told of."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spanhouse.canonical import args_hash
from spanhouse.errors import SpanhouseError
from spanhouse_runtime.guard.costs import Cost


@dataclass(frozen=True, slots=True)
class ToolAsk:
    """A tool call that asks to be made.

    Attributes:
        tool: the tool's name.
        arguments: checked against the tool's schema, as plain JSON values.
        call_id: the model's id for the call; empty where it has none.
        polling: equal calls in a row are expected and are no loop.
        action: what the tool does to the world: ``read``, ``draft``, ``update``, ``send``, ``delete`` or ``money``;
            empty where it is not declared. The guard's own ``traits`` and this one: the graver holds.
        undo: whether the call can be taken back by ``Agent.undo``, for the review list.
        cost_usd: what the call costs, in dollars or made of its arguments: reserved before it and booked after it.
        digest: the ``args_hash`` of the arguments as they were asked for, whatever the tool makes of them.
    """

    tool: str
    arguments: Mapping[str, Any]
    call_id: str = ""
    polling: bool = False
    action: str = ""
    undo: bool = False
    cost_usd: Cost = 0.0
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", args_hash(self.arguments))


@dataclass(frozen=True, slots=True)
class ModelAsk:
    """A model call that asks to be made.

    Attributes:
        model: the model asked for.
        provider: who serves it; empty where not known.
        input_tokens: a cautious guess at what is sent.
        max_output_tokens: the most it may write.
    """

    model: str
    provider: str = ""
    input_tokens: int = 0
    max_output_tokens: int = 4_000


def error_text(kind: str, message: str, *, retry_after: float | None = None, hint: str = "") -> str:
    """Return a failure as the JSON text that models are answered with.

    ``{"error": {"type", "message"}}``, with ``retry_after`` (seconds) and ``hint`` where they are known.
    """
    error: dict[str, Any] = {"type": kind, "message": message}
    if retry_after is not None:
        error["retry_after"] = retry_after
    if hint:
        error["hint"] = hint
    return json.dumps({"error": error}, ensure_ascii=False)


class Notes:
    """What the model of a run is to be told with the next thing it hears. Safe for threads."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        """Keep a note until the model is told."""
        with self._lock:
            self._texts.append(text)

    def around(self, content: str) -> str:
        """Return the content, with the notes where there are any: ``{"result", "note"}``. They are told once."""
        with self._lock:
            texts, self._texts = self._texts, []
        return json.dumps({"result": content, "note": " ".join(texts)}, ensure_ascii=False) if texts else content


class CallRefused(SpanhouseError):  # noqa: N818 - a control signal, not a fault
    """One call is not made and the run goes on; the text is for the model.

    Attributes:
        kind: the stop code the refusal would have had, or an error type.
        message: why, in plain words.
        notes: what else the model is to be told.
    """

    def __init__(self, kind: str, message: str, notes: Notes | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.notes = notes or Notes()

    def as_text(self) -> str:
        """Return the refusal as a tool's answer: ``{"error": {"type", "message"}}``."""
        return self.notes.around(error_text(self.kind, self.message))

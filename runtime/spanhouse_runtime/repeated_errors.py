"""Only the last of equal errors stays in the prompt: the model learns nothing from reading it again."""

from __future__ import annotations

import json
from collections.abc import MutableSequence
from dataclasses import replace

from spanhouse_runtime.guard.calls import error_text
from spanhouse_runtime.model import Message

_SAME = "as in a later answer, where it is told in full"


def forget_equal_errors(messages: MutableSequence[Message], answer: str) -> None:
    """Shorten the earlier tool messages that tell the same error as the answer that is about to be added.

    They stay as answers to their calls, as providers want every call answered.
    """
    error = _error_of(answer)
    if error is None:
        return
    for at, message in enumerate(messages):
        if message.role == "tool" and _error_of(message.content) == error:
            messages[at] = replace(message, content=error_text(error[0], _SAME))


def _error_of(content: str) -> tuple[str, str] | None:
    """Return the type and message of an error as tools' answers tell it, a note of the loop guard around it or not."""
    try:
        read = json.loads(content) if content.startswith("{") else None
        if isinstance(read, dict) and isinstance(read.get("result"), str) and "note" in read:
            read = json.loads(read["result"]) if read["result"].startswith("{") else None
    except (ValueError, RecursionError):
        return None
    error = read.get("error") if isinstance(read, dict) and len(read) == 1 else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str) or error["message"] == _SAME:
        return None
    return str(error.get("type")), error["message"]

"""What a call was given and gave back, as span attributes: made text, redacted, or left out where capture is off."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.trace import Span

from spanhouse import attributes as keys
from spanhouse.canonical import is_plain, shown
from spanhouse.redaction import redact

LONGEST: Final = 1_000_000
"""Characters of one value that are recorded; the rest is cut and the cut is marked."""
_LONGEST_SECRET: Final = 20_000
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, default=shown).encode


def as_text(value: Any) -> str:  # noqa: ANN401 - whatever an agent hands over
    """Return text as it is and any other value as JSON; what JSON has no form for is written as its ``repr``.

    The text has a form in UTF-8: half a surrogate pair, which has none, is written as an escape.
    """
    if isinstance(value, str):
        return sendable(value)
    try:
        return sendable(_ENCODE(value if is_plain(value) else _plain(value)))
    except Exception:  # noqa: BLE001 - the value is the agent's own: its methods may raise anything, it may hold itself
        return sendable(shown(value))


def sendable(text: str) -> str:
    """Return the text with what UTF-8 has no form for written as an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Content:
    """The captured content of one span.

    Args:
        span: the span that carries it.
        captured: whether content may leave the process at all.
    """

    def __init__(self, span: Span, *, captured: bool) -> None:
        self._span = span
        self._captured = captured
        self._redacted = 0
        if not captured:
            span.set_attribute(keys.CONTENT_CAPTURED, False)

    def set(self, key: str, value: Any) -> None:  # noqa: ANN401 - whatever an agent hands over
        """Put a value on the span as redacted text, cut where it is very long; nothing where it is not captured."""
        if not self._captured or not self._span.is_recording():
            return
        whole = as_text(value)
        # A secret that the cut goes through is looked for in one piece.
        text, found = redact(whole[: LONGEST + _LONGEST_SECRET])
        if len(whole) > LONGEST:
            text = f"{text[:LONGEST]}\n[cut: the first {LONGEST} of {len(whole)} characters]"
        self._span.set_attribute(key, text)
        if found:
            self._redacted += found
            self._span.set_attribute(keys.REDACTED, self._redacted)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever an agent hands over
    if value is None or isinstance(value, str | int | float):
        return value
    # Models of pydantic and dataclass-like objects say more as their fields than as their repr.
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    return value

"""Dead letters that name whoever is erased: their bodies go, the note that they were there stays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SHORT: Final = 128
"""Below it protobuf writes a text's length in one byte before the text."""


def erase(folder: Path, texts: Iterable[str], traces: Iterable[str], deletion_id: str) -> int:
    """Empty the bodies of dead letters that hold one of the texts or trace ids; return how many.

    A text is looked for as OTLP carries it, with its length before it, so that a short one is not found inside others.
    """
    needles = [_carried(text) for text in texts if text]
    needles += [bytes.fromhex(trace) for trace in traces if len(trace) == 32 and _is_hex(trace)]  # noqa: PLR2004 - a trace id
    erased = 0
    for body in sorted(folder.glob("*.otlp.pb")) if folder.exists() else []:
        content = body.read_bytes()
        if not any(needle in content for needle in needles):
            continue
        note = body.with_name(body.name.replace(".otlp.pb", ".json"))
        about = json.loads(note.read_text()) if note.exists() else {}
        about["body"] = f"erased by deletion {deletion_id}"
        # What failed may be quoted in the reason.
        about["reason"] = str(about.get("reason", "")).strip().rpartition("\n")[2].partition(":")[0]
        note.write_text(json.dumps(about, indent=2))
        body.write_bytes(b"")
        erased += 1
    return erased


def _carried(text: str) -> bytes:
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded if len(encoded) < _SHORT else encoded


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)

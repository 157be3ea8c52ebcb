"""Lines of an import file: one run a line, checked one by one, so that a bad line costs only itself."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class BadLine:
    """A line that is no run: its number, counted from 1, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class RunLine:
    """A line that is a run."""

    number: int
    run: dict[str, Any]


def read(path: Path) -> Iterator[RunLine | BadLine]:
    """Yield every line that is not blank, as a run or as what is wrong with it.

    A gzip stream that breaks off is a bad line at the place where it does; what stands before it is read.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        stream: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw
        number = 0
        try:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield parse(number, line)
        except (EOFError, OSError, zlib.error) as error:
            yield BadLine(number + 1, f"the compressed stream breaks off here: {error}")


def parse(number: int, line: bytes) -> RunLine | BadLine:
    """Return the run on a line, or why it is none."""
    try:
        run = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return BadLine(number, f"not JSON: {error}")
    if not isinstance(run, dict):
        return BadLine(number, f"not a JSON object but {type(run).__name__}")
    run_id = run.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        return BadLine(number, "no run_id: every line needs a text that names the run")
    messages = run.get("messages")
    if messages is not None and not (isinstance(messages, list) and all(isinstance(m, dict) for m in messages)):
        return BadLine(number, f"messages of {run_id!r} is no list of objects")
    return RunLine(number, run)

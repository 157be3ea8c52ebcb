"""Recorded exports: those of real frameworks where they are at hand, and the repository's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanhouse_collector.records import RawRecord

_REAL = Path(__file__).parents[2].parent / "shared" / "otlp"
_OWN = Path(__file__).parents[1] / "fixtures" / "conventions"


@dataclass(frozen=True)
class Recording:
    """One recorded run; ``own`` says that the repository made it."""

    name: str
    expected: dict[str, Any]
    traces: Path | None
    logs: Path | None
    own: bool


def _read(path: Path, *, own: bool) -> Recording:
    stem = path.name.removesuffix(".expected.json")
    traces, logs = path.with_name(f"{stem}.otlp.pb"), path.with_name(f"{stem}.logs.otlp.pb")
    return Recording(
        name=f"own_{stem}" if own else stem,
        expected=json.loads(path.read_text()),
        traces=traces if traces.exists() else None,
        logs=logs if logs.exists() else None,
        own=own,
    )


RECORDINGS = [
    *(_read(path, own=True) for path in sorted(_OWN.glob("*.expected.json"))),
    *(_read(path, own=False) for path in sorted(_REAL.glob("*.expected.json"))),
]


def records(recording: Recording, received_us: int) -> Iterator[RawRecord]:
    """Yield the recording's requests, logs first, under a tenant of its name."""
    if recording.logs is not None:
        yield RawRecord("logs", recording.logs.read_bytes(), received_us, recording.name)
    if recording.traces is not None:
        yield RawRecord("traces", recording.traces.read_bytes(), received_us, recording.name)

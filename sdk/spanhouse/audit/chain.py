"""The hash chain of a stream of audit events: how it is made, and what is wrong with one that was tampered with.

Each event's hash covers the hash before it, what the event says of itself, and the hash of its body. Bodies are covered
by their hash alone, so one may be erased and the chain still holds. The chain shows any change to a part of it; that
nobody wrote all of it anew is shown by signed checkpoints kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from spanhouse.canonical import canonical_json

_GENESIS: Final = "spanhouse audit chain 1:"
ERASED: Final = "erased"
"""The one member of a body that was erased on somebody's request: ``{"erased": ...}``."""
_CUT: Final = "[REDACTED:"
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Link:
    """One event as the chain sees it.

    Attributes:
        stream: the run's id, or ``control``.
        seq: its number in the stream, from 1.
        name: the event's name.
        version: the version of its model.
        time_us: microseconds since 1970.
        request_id, agent, agent_version: as the event has them; empty where it has not.
        step: the step, None where it has none.
        body_hash: ``body_hash`` of its body.
    """

    stream: str
    seq: int
    name: str
    version: int
    time_us: int
    request_id: str
    agent: str
    agent_version: str
    step: int | None
    body_hash: str


def body_hash(body: str) -> str:
    """Return the hash of an event's body, canonical JSON as it is sent: 64 hex digits of SHA-256."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def genesis(stream: str) -> str:
    """Return the hash that stands before a stream's first event."""
    return hashlib.sha256(f"{_GENESIS}{stream}".encode("utf-8", "surrogatepass")).hexdigest()


def link_hash(previous: str, link: Link) -> str:
    """Return an event's hash: 64 hex digits of SHA-256 over the hash before it and all the link says."""
    said = [
        *(previous, link.stream, link.seq, link.name, link.version, link.time_us),
        *(link.request_id, link.agent, link.agent_version, link.step, link.body_hash),
    ]
    return hashlib.sha256(_ENCODE(said).encode()).hexdigest()


class FlawKind(StrEnum):
    """What can be wrong with a stream."""

    MISSING = "missing"
    """Events between two others, or before the first, are not there."""
    ALTERED = "altered"
    """An event does not hash to what it says: something of it was changed."""
    BODY = "body"
    """An event's body is not the one it was chained with."""
    UNLINKED = "unlinked"
    """An event follows another one than the one before it: one of the two was replaced."""
    UNCHAINED = "unchained"
    """An event carries no hash among events that do: it was put in by somebody else."""
    TRUNCATED = "truncated"
    """The last events are not there: the run's end or a checkpoint says that there were more."""
    REWRITTEN = "rewritten"
    """The stream is whole in itself, and is not the one that a checkpoint signed."""
    VANISHED = "vanished"
    """The whole stream is not there: a checkpoint or its run says that it was."""
    CHECKPOINT = "checkpoint"
    """A checkpoint is missing, signed by nobody who may, or not the one that was copied elsewhere."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first thing that is wrong with a stream.

    Attributes:
        kind: what.
        stream: where.
        seq: the first bad or missing number.
        detail: in words.
    """

    kind: FlawKind
    stream: str
    seq: int
    detail: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of a stream's verification.

    Attributes:
        stream: which.
        events: how many there are.
        head: the hash of the last one; that of the genesis for none.
        erased: events whose body was erased, by number.
        redacted: events whose body had secrets cut out after it was chained, by number.
        chained: whether the events carry hashes at all; those of old SDKs and other senders do not.
        flaw: the first thing that is wrong; None where nothing is.
    """

    stream: str
    events: int
    head: str
    erased: tuple[int, ...] = ()
    redacted: tuple[int, ...] = ()
    chained: bool = True
    flaw: Flaw | None = None


def verify(
    stream: str, events: Iterable[Mapping[str, Any]], *, expected: int | None = None, first: int = 1
) -> Verified:
    """Return whether a stream is whole and unchanged; names the first bad or missing event.

    Args:
        stream: the run's id, or ``control``.
        events: its ``AuditEvent``s as the API gives them, by number.
        expected: how many there were, where something else says so.
        first: the number of the first event that has to be there; what went before it is taken on trust.
    """
    rows = list(events)
    if rows and not any(row.get("hash") for row in rows):
        return Verified(stream, len(rows), genesis(stream), chained=False)
    head, flaw = genesis(stream), None
    if first > 1 and rows:
        head = str(rows[0].get("prev_hash"))
    erased, redacted = list[int](), list[int]()
    for place, row in enumerate(rows, start=first):
        flaw = _misplaced(stream, place, row) or _broken(stream, head, row)
        if flaw is not None:
            break
        seq = int(row["seq"])
        body = canonical_json(row.get("data"))
        if body_hash(body) != row["body_hash"]:
            if not _is_erased(row.get("data")) and _CUT not in body:
                flaw = Flaw(FlawKind.BODY, stream, seq, "its body is not the one it was chained with")
                break
            (erased if _is_erased(row.get("data")) else redacted).append(seq)
        head = str(row["hash"])
    last = first + len(rows) - 1
    if flaw is None and expected is not None and last < expected:
        flaw = Flaw(FlawKind.TRUNCATED, stream, last + 1, f"{expected} were written, the last that is there is {last}")
    return Verified(stream, len(rows), head, tuple(erased), tuple(redacted), flaw=flaw)


def _misplaced(stream: str, place: int, row: Mapping[str, Any]) -> Flaw | None:
    seq = int(row["seq"])
    if seq == place:
        return None
    detail = f"{seq - place} missing before {seq}" if seq > place else f"{seq} comes twice"
    return Flaw(FlawKind.MISSING, stream, place, detail)


def _broken(stream: str, head: str, row: Mapping[str, Any]) -> Flaw | None:
    seq = int(row["seq"])
    if not row.get("hash"):
        return Flaw(FlawKind.UNCHAINED, stream, seq, "it has no hash")
    if row.get("prev_hash") != head:
        return Flaw(FlawKind.UNLINKED, stream, seq, f"it follows {row.get('prev_hash')}, not {head}")
    found = link_hash(head, _link(stream, row))
    if found != row["hash"]:
        return Flaw(FlawKind.ALTERED, stream, seq, f"it hashes to {found}, not to {row['hash']}")
    return None


def _is_erased(data: object) -> bool:
    return isinstance(data, Mapping) and set(data) == {ERASED}


def _link(stream: str, row: Mapping[str, Any]) -> Link:
    return Link(
        stream=stream,
        seq=int(row["seq"]),
        name=str(row["name"]),
        version=int(row["event_version"] or 0),
        time_us=time_us(str(row["time"])),
        request_id=str(row.get("request_id") or ""),
        agent=str(row.get("agent") or ""),
        agent_version=str(row.get("agent_version") or ""),
        step=None if row.get("step") is None else int(row["step"]),
        body_hash=str(row["body_hash"]),
    )


def time_us(text: str) -> int:
    """Return an RFC 3339 time as microseconds since 1970."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only for those who verify

    moment = datetime.fromisoformat(text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

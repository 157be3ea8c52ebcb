"""Whether a tenant's trail is what it was: each stream by its own chain, and by what checkpoints vouch for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from spanhouse.audit.chain import Flaw, FlawKind, Verified, verify
from spanhouse_server.audit.vouched import Sighting, Vouched

HIDDEN: Final = timedelta(hours=2)
"""Retention hides by the minute, and checkpoints say so by the hour: what went since the last may be this much."""
UNSIGNED: Final = timedelta(minutes=3)
"""A tenant's first checkpoint is there by then."""
_SLACK: Final = timedelta(hours=1)
"""An event is stored and signed this long after its time at most, for retention to be what took it."""

Event = Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """What became of a tenant's verification.

    Attributes:
        result: ``whole``, ``flawed``, or ``unknown`` where nothing vouches for what is there.
        streams, events: how many were read.
        flaws: the first of each bad stream, and those of checkpoints.
        unchained: streams whose sender does not chain: what is missing in the middle or changed cannot be told.
        erased: events whose body was erased, by stream.
        redacted: events of whose body secrets were cut out after they were chained, by stream.
        removed: streams of which retention has removed all or the beginning.
        uncovered: events that are newer than the last checkpoint; their chain alone speaks for them.
        checkpoints: count, how many a copy has, number and time of the last, and up to when retention removed.
        notes: what else is to be known.
    """

    tenant: str
    result: str = "whole"
    streams: int = 0
    events: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    unchained: list[str] = field(default_factory=list)
    erased: dict[str, list[int]] = field(default_factory=dict)
    redacted: dict[str, list[int]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    uncovered: int = 0
    checkpoints: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {**asdict(self), "flaws": [{**asdict(flaw), "kind": flaw.kind.value} for flaw in self.flaws]}


class Verification:
    """Takes one tenant's streams one after another, in any order; then says what it found.

    Args:
        tenant: whose.
        vouched: what the checkpoints say; they must have been read before the events.
        expected: how many events runs say that they wrote, by run id, for those that are surely stored by now.
        only: the streams that are asked about; None for all there are.
        now: the time, aware; events of the last minutes need no checkpoint yet. None: every event needs one.
    """

    def __init__(
        self,
        tenant: str,
        vouched: Vouched,
        expected: Mapping[str, int],
        only: frozenset[str] | None = None,
        now: datetime | None = None,
    ) -> None:
        self._now, self._oldest = now, list[datetime]()
        self._vouched, self._expected, self._only = vouched, expected, only
        self._seen: set[str] = set()
        self._report = Report(tenant, flaws=list(vouched.flaws))
        last = vouched.last
        self._kept_from = vouched.kept_from
        self._deletions = False
        self._report.checkpoints = {
            "count": vouched.count,
            "outside": vouched.outside,
            "last": last.checkpoint.number if last else None,
            "last_at": last.checkpoint.time.isoformat() if last else None,
            "kept_from": vouched.kept_from.isoformat() if vouched.kept_from else None,
        }

    def stream(self, stream: str, rows: Sequence[Event]) -> None:
        """Take the events of a stream, at least one, by number."""
        report, heads = self._report, self._vouched.heads.get(stream, ())
        self._seen.add(stream)
        self._deletions = self._deletions or any(row["name"] == "deletion" for row in rows)
        report.streams += 1
        report.events += len(rows)
        oldest = datetime.fromisoformat(str(rows[0]["time"]))
        self._oldest = [min([oldest, *self._oldest])]
        first = int(rows[0]["seq"])
        kept = first > 1 and self._was_removed(heads, first - 1)
        if kept:
            report.removed.append(stream)
        found = verify(stream, rows, expected=self._expected.get(stream), first=first if kept else 1)
        flaw = _unchained(stream, rows, heads) if not found.chained else _against(found, rows, heads)
        if flaw is not None:
            report.flaws.append(flaw)
        if not found.chained:
            report.unchained.append(stream)
        if found.erased:
            report.erased[stream] = list(found.erased)
        if found.redacted:
            report.redacted[stream] = list(found.redacted)
        signed = heads[-1].head.seq if heads else 0
        report.uncovered += sum(int(row["seq"]) > signed for row in rows)
        written = self._expected.get(stream)
        if written is not None and found.chained and int(rows[-1]["seq"]) > written:
            report.notes.append(
                f"{stream}: {int(rows[-1]['seq']) - written} events after the run said that it had written {written}"
            )

    def report(self) -> Report:
        """Return what was found, with the streams that are not there at all."""
        report = self._report
        named = {*self._vouched.heads, *(run for run, count in self._expected.items() if count)}
        for stream in sorted(named - self._seen):
            if self._only is not None and stream not in self._only:
                continue
            heads = self._vouched.heads.get(stream, ())
            if heads and self._was_removed(heads, heads[-1].head.seq):
                report.removed.append(stream)
                continue
            said = (
                f"checkpoint {heads[-1].number} has it up to event {heads[-1].head.seq}"
                if heads
                else f"the run says that it wrote {self._expected[stream]} events"
            )
            report.flaws.append(Flaw(FlawKind.VANISHED, stream, 1, f"no event of it is there; {said}"))
        if report.flaws:
            report.result = "flawed"
        elif not self._vouched.count and report.events:
            is_new = self._now is not None and self._now - self._oldest[0] < UNSIGNED
            report.result = "whole" if is_new else "unknown"
            report.notes.append("no checkpoint vouches for these events: a trail written anew would not show")
        if report.erased and self._only is None and not self._deletions:
            report.notes.append("bodies were erased, and no deletion stands in the control stream that was read")
        return report

    def _was_removed(self, heads: Sequence[Sighting], seq: int) -> bool:
        """Whether retention may have removed events up to a number: they were there at a time it has reached."""
        if self._kept_from is None:
            return False
        reached = self._kept_from + HIDDEN + _SLACK
        covering = next((each for each in heads if each.head.seq >= seq), None)
        return covering is None or covering.time <= reached


def _against(found: Verified, rows: Sequence[Event], heads: Sequence[Sighting]) -> Flaw | None:
    """Return the first flaw of a chained stream, its own or one that checkpoints show."""
    hashes = {int(row["seq"]): str(row.get("hash") or "") for row in rows}
    last, good = int(rows[-1]["seq"]), 0
    for number, _, head in heads:
        if found.flaw is not None and found.flaw.seq <= head.seq:
            # The chain itself breaks before what this checkpoint signed: it names the place more exactly.
            return found.flaw
        if head.seq > last:
            detail = f"checkpoint {number} has {head.seq} events, the last that is there is {last}"
            return Flaw(FlawKind.TRUNCATED, found.stream, last + 1, detail)
        if head.seq in hashes and head.hash and hashes[head.seq] != head.hash:
            place = f"event {head.seq}" if good + 1 == head.seq else f"one of the events {good + 1} to {head.seq}"
            detail = f"checkpoint {number} signed another event {head.seq}: {place} was the first to be changed"
            return Flaw(FlawKind.REWRITTEN, found.stream, good + 1, detail)
        good = head.seq
    return found.flaw


def _unchained(stream: str, rows: Sequence[Event], heads: Sequence[Sighting]) -> Flaw | None:
    """Return what checkpoints show of a stream without hashes: that it had some, or that it was longer."""
    last = int(rows[-1]["seq"])
    for number, _, head in heads:
        if head.hash:
            return Flaw(FlawKind.REWRITTEN, stream, 1, f"its events have no hashes; checkpoint {number} signed one")
        if head.seq > last:
            detail = f"checkpoint {number} has it up to {head.seq}, the last that is there is {last}"
            return Flaw(FlawKind.TRUNCATED, stream, last + 1, detail)
    return None

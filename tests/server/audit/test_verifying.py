"""What is wrong with a trail is named, and what is not wrong is said without alarm."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.chained import Row, chained

from spanhouse_server.audit import signing
from spanhouse_server.audit.checkpoint import FIRST, Checkpoint, Head, Signed
from spanhouse_server.audit.verifying import Report, Verification
from spanhouse_server.audit.vouched import Vouched, vouched

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = signing.make()
KEYS = {KEY.public.id: KEY.public}


def checkpoints(*heads: list[Head], kept_from: datetime | None = None, at: datetime = NOON) -> list[Signed]:
    """Return checkpoints a minute apart, each with these heads."""
    found, previous = list[Signed](), FIRST
    for number, each in enumerate(heads, start=1):
        time = at + timedelta(minutes=number)
        said = Checkpoint("acme", number, time, previous, tuple(each), 0, kept_from, KEY.public.id)
        found.append(Signed(said, KEY.sign(said.text())))
        previous = said.hash
    return found


def head(rows: list[Row], seq: int) -> Head:
    return Head(rows[0]["stream"], seq, rows[seq - 1]["hash"])


def shown(rows: list[Row]) -> list[dict[str, Any]]:
    """Return rows as the API shows them."""
    return [{**row, "time": row["time"].isoformat(), "data": json.loads(row["data"])} for row in rows]


def report(vouch: Vouched, *streams: list[Row], expected: dict[str, int] | None = None) -> Report:
    found = Verification("acme", vouch, expected or {})
    for rows in streams:
        found.stream(rows[0]["stream"], shown(rows))
    return found.report()


def flaws(found: Report) -> list[tuple[str, str, int]]:
    return [(flaw.kind.value, flaw.stream, flaw.seq) for flaw in found.flaws]


def good(*heads: list[Head], **more: Any) -> Vouched:
    signed = checkpoints(*heads, **more)
    return vouched(signed, signed, KEYS)


@pytest.fixture
def run() -> list[Row]:
    return chained("r1", 8, at=NOON)


def test_a_whole_trail_is_whole_and_says_what_is_newer_than_its_checkpoints(run: list[Row]) -> None:
    found = report(good([head(run, 3)], [head(run, 5)]), run, expected={"r1": 8})
    assert (found.result, found.uncovered, found.events, found.flaws) == ("whole", 3, 8, [])


def test_a_tail_cut_off_a_run_that_was_killed_shows_by_the_checkpoint(run: list[Row]) -> None:
    """No end of the run says how many there were."""
    assert flaws(report(good([head(run, 8)]), run[:6])) == [("truncated", "r1", 7)]


def test_a_tail_cut_off_shows_by_what_the_run_says_it_wrote(run: list[Row]) -> None:
    assert flaws(report(good([head(run, 3)]), run[:6], expected={"r1": 8})) == [("truncated", "r1", 7)]


def test_a_run_that_vanished_shows_by_the_checkpoint_and_by_what_it_says_it_wrote(run: list[Row]) -> None:
    other = chained("r2", 2, at=NOON)
    vouch = good([head(run, 8), head(other, 2)])
    assert flaws(report(vouch, other, expected={"r3": 4})) == [("vanished", "r1", 1), ("vanished", "r3", 1)]


def test_a_stream_written_anew_names_the_first_event_that_may_have_been_changed(run: list[Row]) -> None:
    """Between the last head that holds and the first that does not."""
    other = chained("r1", 8, at=NOON + timedelta(seconds=1))
    vouch = good([head(run, 3)], [head(run, 8)])
    assert flaws(report(vouch, other)) == [("rewritten", "r1", 1)]
    forged = vouched(checkpoints([head(other, 3)], [head(run, 8)]), [], KEYS)
    (flaw,) = report(forged, other).flaws
    assert (flaw.kind.value, flaw.seq) == ("rewritten", 4)
    assert "4 to 8" in flaw.detail


def test_where_nothing_vouches_nobody_can_tell(run: list[Row]) -> None:
    assert report(vouched([], [], KEYS), run).result == "unknown"
    for minutes, result in ((1, "whole"), (10, "unknown")):
        found = Verification("acme", vouched([], [], KEYS), {}, now=NOON + timedelta(minutes=minutes))
        found.stream("r1", shown(run))
        assert found.report().result == result, "the first checkpoint may not be there yet"


def test_senders_that_do_not_chain_are_said_and_do_not_fail() -> None:
    plain = chained("r1", 4, at=NOON, chain=False)
    found = report(good([Head("r1", 4, "")]), plain)
    assert (found.result, found.unchained) == ("whole", ["r1"])


def test_hashes_taken_off_and_tails_of_unchained_streams_show(run: list[Row]) -> None:
    stripped = [{**row, "hash": "", "prev_hash": "", "body_hash": ""} for row in run]
    assert flaws(report(good([head(run, 8)]), stripped)) == [("rewritten", "r1", 1)]
    assert flaws(report(good([Head("r1", 8, "")]), stripped[:5])) == [("truncated", "r1", 6)]


def test_erased_bodies_are_listed_and_do_not_fail(run: list[Row]) -> None:
    """Where no deletion is on record, that is said too."""
    run[2]["data"] = '{"erased":true}'
    found = report(good([head(run, 8)]), run)
    assert (found.result, found.erased) == ("whole", {"r1": [3]})
    assert any("no deletion" in note for note in found.notes)
    control = chained("control", 1, at=NOON)
    control[0]["name"] = "deletion"
    rows = [{**control[0], "run_id": ""}]
    assert not report(good([head(run, 8)]), run, rows).notes


def test_bodies_cut_by_a_later_redaction_are_listed_and_do_not_fail(run: list[Row]) -> None:
    run[1]["data"] = '{"tool":"[REDACTED:email]"}'
    found = report(good([head(run, 8)]), run)
    assert (found.result, found.redacted) == ("whole", {"r1": [2]})


def test_what_retention_removed_does_not_fail_where_a_checkpoint_says_so(run: list[Row]) -> None:
    """Neither a stream without its beginning nor one that is gone; what went too early does."""
    gone = chained("r2", 3, at=NOON)
    heads = [head(run, 4), head(gone, 3)]
    vouch = good(heads, [head(run, 8)], kept_from=NOON + timedelta(days=1))
    found = report(vouch, run[4:])
    assert (found.result, found.removed) == ("whole", ["r1", "r2"])
    early = good(heads, [head(run, 8)], kept_from=NOON - timedelta(days=1))
    assert flaws(report(early, run[4:])) == [("missing", "r1", 1), ("vanished", "r2", 1)]
    never = good(heads, [head(run, 8)])
    assert flaws(report(never, run[4:])) == [("missing", "r1", 1), ("vanished", "r2", 1)]


def test_what_is_left_after_retention_is_still_one_chain(run: list[Row]) -> None:
    run[6]["data"] = '{"tool":"other"}'
    vouch = good([head(run, 8)], kept_from=NOON + timedelta(days=1))
    assert flaws(report(vouch, run[4:])) == [("body", "r1", 7)]


def test_events_beyond_what_the_run_wrote_are_said(run: list[Row]) -> None:
    """A tool that hung may end after its run, so it is no flaw by itself."""
    found = report(good([head(run, 6)]), run, expected={"r1": 6})
    assert found.result == "whole"
    assert "2 events after" in found.notes[0]


def test_checkpoints_that_are_missing_broken_or_unsigned_are_named(run: list[Row]) -> None:
    signed = checkpoints([head(run, 2)], [head(run, 4)], [head(run, 8)])

    def named(own: list[Signed], outside: list[Signed]) -> list[int]:
        return [flaw.seq for flaw in vouched(own, outside, KEYS).flaws]

    assert named(signed, signed) == []
    assert named([signed[0], signed[2]], []) == [2], "a gap"
    assert named(signed[:2], signed) == [3], "the copy has one more"
    assert named([signed[1], signed[2]], signed) == [1], "the first was taken away"
    unsigned = Signed(signed[1].checkpoint, "")
    assert named([signed[0], unsigned, signed[2]], []) == [2, 2], "no signature, and so a gap"
    forged = checkpoints([head(run, 2)], [head(run, 3)], [head(run, 8)])
    assert named(forged, signed) == [2, 3], "signed anew with the key: the copy differs"
    assert named(forged, []) == [], "which nobody sees without one"

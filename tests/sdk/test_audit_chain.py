"""The hash chain of a run's audit events: whatever is done to it afterwards, the first bad number is named."""

from __future__ import annotations

import copy
import json
import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.audit.chain import FlawKind, Link, Verified, body_hash, genesis, link_hash, verify
from spanhouse.canonical import canonical_json

STREAM = "5f" * 16


def link(seq: int, data: dict[str, Any]) -> Link:
    """Return what the chain sees of one event."""
    time_us = 1_700_000_000_000_000 + seq
    return Link(STREAM, seq, "tool.call", 1, time_us, "req-1", "worker", "", seq, body_hash(canonical_json(data)))


def trail(count: int = 12) -> list[dict[str, Any]]:
    """Return the events of a run as the API gives them."""
    head, events = genesis(STREAM), list[dict[str, Any]]()
    for seq in range(1, count + 1):
        data = {"tool": f"t{seq}", "n": seq / 2, "text": "naïve ✓"}
        said = link(seq, data)
        previous, head = head, link_hash(head, said)
        events.append(
            {
                "stream": STREAM,
                "seq": seq,
                "name": "tool.call",
                "event_version": 1,
                "time": f"2023-11-14T22:13:20.{seq:06d}Z",
                "request_id": "req-1",
                "agent": "worker",
                "agent_version": None,
                "step": seq,
                "prev_hash": previous,
                "hash": head,
                "body_hash": said.body_hash,
                "data": data,
            }
        )
    return events


def flaw(events: list[dict[str, Any]], expected: int | None = 12) -> tuple[str, int] | None:
    found = verify(STREAM, events, expected=expected).flaw
    return None if found is None else (found.kind.value, found.seq)


def test_a_whole_chain_is_whole() -> None:
    events = trail()
    found = verify(STREAM, events, expected=12)
    assert found == Verified(STREAM, 12, events[-1]["hash"])
    assert verify(STREAM, [], expected=0).flaw is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "kill"),
        ("time", "2023-11-14T22:13:20.999999Z"),
        ("request_id", "req-2"),
        ("agent", "other"),
        ("agent_version", "2"),
        ("step", 99),
        ("event_version", 2),
        ("body_hash", "0" * 64),
    ],
)
def test_any_changed_field_is_an_altered_event(name: str, value: object) -> None:
    events = trail()
    events[6][name] = value
    assert flaw(events) == ("altered", 7)


def test_a_changed_body_is_named() -> None:
    events = trail()
    events[3]["data"]["tool"] = "t5"
    assert flaw(events) == ("body", 4)


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (lambda events: events.pop(4), ("missing", 5)),
        (lambda events: events.pop(0), ("missing", 1)),
        (lambda events: events.pop(), ("truncated", 12)),
        (lambda events: events.clear(), ("truncated", 1)),
        (lambda events: events.insert(4, copy.deepcopy(events[4])), ("missing", 6)),
        (lambda events: events[5].update(hash=None), ("unchained", 6)),
        (lambda events: events[5].update(prev_hash="0" * 64), ("unlinked", 6)),
    ],
)
def test_what_is_taken_out_put_in_or_cut_off_is_named(what: Any, found: tuple[str, int]) -> None:
    events = trail()
    what(events)
    assert flaw(events) == found


def test_two_swapped_events_are_named() -> None:
    events = trail()
    events[4], events[5] = {**events[5], "seq": 5}, {**events[4], "seq": 6}
    found = flaw(events)
    assert found is not None
    assert found[1] == 5


def test_an_event_chained_anew_breaks_the_one_after_it() -> None:
    events, other = trail(), trail()
    other[6]["data"]["n"] = 100
    said = link(7, other[6]["data"])
    events[6] = {**other[6], "body_hash": said.body_hash, "hash": link_hash(events[6]["prev_hash"], said)}
    assert flaw(events) == (FlawKind.UNLINKED.value, 8)


@given(seed=st.integers(0, 10_000))
def test_no_random_change_goes_unnoticed(seed: int) -> None:
    rng = random.Random(seed)
    events = trail()
    place = rng.randrange(12)
    kind = rng.choice(["field", "body", "drop", "double", "swap"])
    if kind == "field":
        name = rng.choice(["name", "request_id", "agent", "hash", "prev_hash", "body_hash"])
        events[place][name] = f"{events[place][name]}x"
    elif kind == "body":
        events[place]["data"]["n"] = rng.random()
    elif kind == "drop":
        events.pop(place)
    elif kind == "double":
        events.insert(place, copy.deepcopy(events[place]))
    else:
        other = (place + 1) % 12
        events[place], events[other] = events[other], events[place]
    found = flaw(events)
    assert found is not None
    assert found[1] <= place + 2 or kind == "swap"


def test_an_erased_body_is_said_and_breaks_nothing() -> None:
    events = trail()
    events[3]["data"] = {"erased": "2026-11-20T00:00:00Z"}
    events[8]["data"]["text"] = "[REDACTED:jwt]"
    found = verify(STREAM, events, expected=12)
    assert (found.flaw, found.erased, found.redacted) == (None, (4,), (9,))


def test_a_trail_without_hashes_is_said_to_be_unchained() -> None:
    events = [{**event, "hash": None, "prev_hash": None, "body_hash": None} for event in trail()]
    found = verify(STREAM, events)
    assert (found.chained, found.flaw) == (False, None)


def test_what_the_sdk_sends_is_chained_though_threads_write_at_once() -> None:
    with OtlpSink() as sink:
        sh.init("chain-test", url=sink.url)
        with sh.run("job", agent="worker", request_id="req-1") as run:

            def decide(n: int) -> None:
                for k in range(20):
                    run.event("decision", option=f"ünïcode {n}-{k}", confidence=0.5, options=[1.0, 2.5, None])

            threads = [threading.Thread(target=decide, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sh.flush()
        sh.shutdown()
        sent = sorted(sink.audit, key=lambda event: int(event.attributes["spanhouse.audit.seq"]))
    rows = [
        {
            "seq": event.attributes["spanhouse.audit.seq"],
            "name": event.event_name,
            "event_version": event.attributes["spanhouse.audit.version"],
            "time": shown(event.time),
            "request_id": "req-1",
            "agent": "worker",
            "step": None,
            **{name: event.attributes[f"spanhouse.audit.{name}"] for name in ("prev_hash", "hash", "body_hash")},
            "data": event.data,
        }
        for event in sent
    ]
    found = verify(run.run_id, json.loads(json.dumps(rows)), expected=82)
    assert (found.flaw, found.events) == (None, 82)


def shown(nanos: int) -> str:
    """Return nanoseconds since 1970 as the API writes times."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only here

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanos // 1_000)).isoformat()

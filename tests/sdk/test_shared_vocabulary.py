"""The laws of what SDK, collector and analysis must compute alike."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse import attributes
from spanhouse.canonical import args_hash, canonical_json
from spanhouse.errors import RunStopped, ServerError, SpanhouseError
from spanhouse.identity import run_id_of
from spanhouse.loops import cycle_length, longest_streak, loops
from spanhouse.stop_reasons import NEEDS_SUBJECT, StopCode, StopReason

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
ANYTHING = st.one_of(JSON, st.binary(), st.sets(st.integers()), st.just(object()), st.text(st.characters(codec=None)))
CALLS = st.lists(st.sampled_from("ab"), max_size=14)


# --- canonical JSON and argument hashes ---


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5), st.randoms())
def test_key_order_does_not_matter(value: dict[str, Any], random: Any) -> None:
    """Equal arguments hash alike whatever order a model wrote them in."""
    keys = list(value)
    random.shuffle(keys)
    assert args_hash({key: value[key] for key in keys}) == args_hash(value)


@given(JSON)
def test_canonical_json_is_json_and_has_one_spelling(value: Any) -> None:
    """Reading it and writing it again gives the same text."""
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@given(ANYTHING)
def test_hashing_never_fails(value: Any) -> None:
    """A tool call is recorded whatever it was given: 16 hex digits."""
    digest = args_hash(value)
    assert len(digest) == 16
    assert int(digest, 16) >= 0


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5))
def test_arguments_as_text_hash_as_what_they_hold(value: dict[str, Any]) -> None:
    """Frameworks send arguments as an object or as JSON text of it."""
    assert args_hash(f" {json.dumps(value)}\n") == args_hash(value)


def test_hashing_lives_through_hostile_values() -> None:
    """A value that holds itself, one nested very deep, and one that cannot show itself all have a hash."""

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError

    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert len({args_hash(circle), args_hash(deep), args_hash(Shy()), args_hash({Shy(): 1})}) == 4
    assert canonical_json([Shy()]) == '["<Shy without a repr>"]'


def test_number_and_text_forms_are_one() -> None:
    """1 and 1.0 are one number, composed and decomposed accents one text; 1 and "1" and true are not."""
    assert (
        canonical_json({"n": 1.0, "s": "e\u0301"}) == canonical_json({"s": "\u00e9", "n": 1}) == '{"n":1,"s":"\u00e9"}'
    )
    assert len({args_hash([1]), args_hash(["1"]), args_hash([True])}) == 3
    assert canonical_json([math.nan, math.inf, -math.inf]) == '["NaN","Infinity","-Infinity"]'
    assert args_hash("{broken") == args_hash(" {broken ")


# --- stop reasons ---


@given(st.sampled_from(StopCode), st.text())
def test_a_stop_reason_survives_its_text_form(code: StopCode, subject: str) -> None:
    """What is written on a span is what is read from it, subjects with colons included."""
    assert StopReason.parse(str(StopReason(code, subject))) == StopReason(code, subject)


@given(st.text().filter(lambda text: text.partition(":")[0] not in set(StopCode)))
def test_other_words_are_no_stop_reason(text: str) -> None:
    """The list is closed, and the message shows it."""
    with pytest.raises(ValueError, match="must be one of finish, max_steps"):
        StopReason.parse(text)


def test_codes_that_need_a_subject_are_codes() -> None:
    """A subject is asked for only where one makes sense."""
    assert set(StopCode) > NEEDS_SUBJECT
    assert StopCode.FINISH not in NEEDS_SUBJECT


# --- errors ---


def test_exceptions_say_what_happened() -> None:
    """One base for all; the control signal carries its reason, the server's refusal its problem."""
    stopped = RunStopped(StopReason(StopCode.MAX_USD, "run"), "1.02 of 1.00 USD")
    assert str(stopped) == "run stopped: max_usd:run (1.02 of 1.00 USD)"
    assert str(RunStopped(StopReason(StopCode.FINISH))) == "run stopped: finish"
    refused = ServerError("404 Not found", status=404, problem={"title": "Not found"})
    assert (refused.status, refused.problem) == (404, {"title": "Not found"})
    assert ServerError("away").problem == {}
    assert isinstance(stopped, SpanhouseError)
    assert isinstance(refused, SpanhouseError)


# --- identity ---


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))
def test_run_ids_do_not_depend_on_letter_case(trace: bytes, span: bytes) -> None:
    """Some senders write hex in capitals."""
    assert run_id_of(trace.hex().upper(), span.hex().upper()) == run_id_of(trace.hex(), span.hex())
    assert len(run_id_of(trace.hex(), span.hex())) == 32


def test_run_ids_stay_what_they_are() -> None:
    """Stored runs keep their ids over versions: this value may never change."""
    assert run_id_of("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331") == "890cd5463969828b1952df1631918be6"


# --- loops ---


def naive_streaks(calls: Sequence[str]) -> list[int]:
    """Return the lengths of all maximal runs of equal calls, the slow way."""
    lengths: list[int] = []
    for index, call in enumerate(calls):
        if index and calls[index - 1] == call:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


def naive_cycle(calls: Sequence[str]) -> int:
    """Return the shortest cycle by trying every place and size."""
    for size in range(2, 7):
        for start in range(len(calls) - 3 * size + 1):
            part = list(calls[start : start + size])
            if list(calls[start : start + 3 * size]) == part * 3 and len(set(part)) > 1:
                return size
    return 0


@given(CALLS)
def test_streaks_are_those_a_person_would_count(calls: list[str]) -> None:
    """The longest streak, and how many reach three."""
    lengths = naive_streaks(calls)
    assert longest_streak(calls) == max(lengths, default=0)
    assert loops(calls) == sum(length >= 3 for length in lengths)


@given(st.lists(st.sampled_from("abc"), max_size=20))
def test_cycles_are_those_a_person_would_find(calls: list[str]) -> None:
    """A pattern of two to six calls, not all equal, three times in a row."""
    assert cycle_length(calls) == naive_cycle(calls)


@given(CALLS, CALLS)
def test_a_loop_found_stays_found(calls: list[str], later: list[str]) -> None:
    """What the live guard saw, the analysis of the whole run sees too."""
    assert longest_streak(calls + later) >= longest_streak(calls)
    assert loops(calls + later) >= loops(calls)
    assert bool(cycle_length(calls + later)) >= bool(cycle_length(calls))


# --- attributes ---


def test_attribute_keys_are_unique() -> None:
    """Two names for one key would be two meanings in one column."""
    keys = [value for name, value in vars(attributes).items() if name.isupper() and isinstance(value, str)]
    assert len(keys) == len(set(keys)) > 50

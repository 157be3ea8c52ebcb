from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_alerts.machine import Failed, Missing, Observation, Phase, Seen, State, Timing, Transition, end, step

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
S = timedelta(seconds=1)
BAD = Seen(0.5, 0.2, breached=True, recovered=False)
BETWEEN = Seen(0.15, 0.2, breached=False, recovered=False)
GOOD = Seen(0.05, 0.2, breached=False, recovered=True)
GONE = Missing()
BROKEN = Failed("store is away")
LETTERS: dict[str, Observation] = {"B": BAD, "~": BETWEEN, "G": GOOD, "_": GONE, "!": BROKEN}


def play(line: str, timing: Timing, every: timedelta = 10 * S) -> tuple[State, list[Transition]]:
    """Feed one observation a letter, ``every`` apart, and return the last state and all transitions."""
    state = State()
    seen: list[Transition] = []
    for i, letter in enumerate(line):
        state, transitions = step(state, LETTERS[letter], T0 + i * every, timing)
        seen += transitions
    return state, seen


def changes(line: str, timing: Timing) -> str:
    """Return the transitions `play` sees, as one text."""
    return " ".join(transition.change.value for transition in play(line, timing)[1])


PLAIN = Timing()
HELD = Timing(hold=30 * S)
KEPT = Timing(keep=30 * S)
BOTH = Timing(hold=20 * S, keep=20 * S)


@pytest.mark.parametrize(
    ("line", "timing", "expected"),
    [
        ("GGG", PLAIN, ""),
        ("GB", PLAIN, "firing"),
        ("BBBB", PLAIN, "firing"),
        ("BG", PLAIN, "firing resolved"),
        ("BGB", PLAIN, "firing resolved firing"),
        ("B~~~", PLAIN, "firing"),
        ("B~G", PLAIN, "firing resolved"),
        ("~", PLAIN, ""),
        ("BBB", HELD, "pending"),
        ("BBBB", HELD, "pending firing"),
        ("BBGBB", HELD, "pending cleared pending"),
        ("BB~BB", HELD, "pending cleared pending"),
        ("BG", KEPT, "firing recovering"),
        ("BGGG", KEPT, "firing recovering"),
        ("BGGGG", KEPT, "firing recovering resolved"),
        ("BGGBGGGG", KEPT, "firing recovering relapsed recovering resolved"),
        ("BG~GGGG", KEPT, "firing recovering relapsed recovering resolved"),
        ("BBBGGG", BOTH, "pending firing recovering resolved"),
    ],
)
def test_phases_follow_the_observations(line: str, timing: Timing, expected: str) -> None:
    """Each sequence of bad (B), between the lines (~) and good (G) observations leads to these transitions."""
    assert changes(line, timing) == expected


@pytest.mark.parametrize(
    ("line", "timing", "expected"),
    [
        ("B___", PLAIN, "firing"),
        ("B!!!", PLAIN, "firing"),
        ("B__G", PLAIN, "firing resolved"),
        ("BB__BB", HELD, "pending firing"),
        ("BB__B", HELD, "pending"),
        ("B___", HELD, "pending"),
        ("BG____", KEPT, "firing recovering"),
        ("BG__GG", KEPT, "firing recovering"),
        ("BG__GGG", KEPT, "firing recovering resolved"),
    ],
)
def test_missing_data_and_errors_keep_the_state(line: str, timing: Timing, expected: str) -> None:
    """No data (_) and failed queries (!) end nothing, start nothing, and their time does not count."""
    assert changes(line, timing) == expected


def test_flags_say_why_there_is_no_news() -> None:
    """The state carries the no-data and error flags, and the next figure takes them away."""
    state = play("B_", PLAIN)[0]
    assert (state.no_data, state.error, state.value) == (True, "", 0.5)
    state = play("B!", PLAIN)[0]
    assert (state.no_data, state.error, state.value) == (False, "store is away", 0.5)
    state = play("B_!B", PLAIN)[0]
    assert (state.no_data, state.error) == (False, "")


def test_an_alert_without_data_for_a_day_ends() -> None:
    """A group that has vanished is let go after ``forget``; an error never lets go."""
    timing = Timing(forget=30 * S)
    assert changes("B____", timing) == "firing resolved"
    assert changes("B!!!!!!!", timing) == "firing"


def test_a_gap_between_evaluations_does_not_count_towards_for() -> None:
    """Time in which the evaluator was down counts at most one step; after more than an hour pending starts anew."""
    timing = Timing(hold=5 * 60 * S, step=60 * S)
    pending = step(State(), BAD, T0, timing)[0]
    after_gap, transitions = step(pending, BAD, T0 + timedelta(minutes=30), timing)
    assert (after_gap.phase, transitions) == (Phase.PENDING, ())
    assert step(after_gap, BAD, T0 + timedelta(minutes=30, seconds=50), timing)[0].phase is Phase.PENDING
    late, _ = step(pending, BAD, T0 + timedelta(hours=3), timing)
    assert late.since == T0 + timedelta(hours=3)


def test_a_latched_alert_ends_with_its_window_alone() -> None:
    """Spend that falls back does not end a budget's alert; the end of its window does, even while queries fail."""
    timing = Timing(latched=True)
    ends = T0 + timedelta(hours=1)
    firing = step(State(), replace(BAD, ends_at=ends), T0, timing)[0]
    lower = step(firing, replace(GOOD, ends_at=ends), T0 + S, timing)
    assert (lower[0].phase, lower[1]) == (Phase.FIRING, ())
    for observation in (BROKEN, GONE, replace(BAD, ends_at=ends)):
        state, (transition,) = step(firing, observation, ends, timing)
        assert (state.phase, transition.change.value, transition.reason) == (
            Phase.INACTIVE,
            "resolved",
            "its window ended",
        )


def test_a_moved_line_asks_a_latched_alert_anew() -> None:
    """Who raises a budget ends its alert where spend is within the new line, so that the new line can fire too."""
    timing = Timing(latched=True)
    firing = step(State(), BAD, T0, timing)[0]
    state, (transition,) = step(firing, Seen(0.5, 0.9, breached=False, recovered=True), T0 + S, timing)
    assert (state.phase, transition.reason) == (Phase.INACTIVE, "the rule's line was moved")
    assert step(firing, Seen(0.5, 0.4, breached=True, recovered=False), T0 + S, timing)[1] == ()


def test_ending_an_alert_at_rest_tells_nobody() -> None:
    """`end` resolves what fires, clears what is pending, and says nothing of what is at rest."""
    assert end(State(), T0, "x")[1] == ()
    assert end(State(Phase.PENDING), T0, "x")[1][0].change.value == "cleared"
    assert end(State(Phase.RECOVERING), T0, "x")[1][0].change.value == "resolved"


observations = st.sampled_from(list(LETTERS.values()))
gaps = st.integers(min_value=1, max_value=7_200)
durations = st.integers(min_value=0, max_value=600).map(lambda s: timedelta(seconds=s))
timings = st.builds(Timing, hold=durations, keep=durations, forget=durations, latched=st.booleans())


@given(st.lists(st.tuples(observations, gaps), max_size=60), timings)
def test_firing_and_resolved_always_take_turns(line: list[tuple[Observation, int]], timing: Timing) -> None:
    """Whatever happens, nobody is told twice that an alert fires without hearing that it ended, nor the reverse."""
    state, now, told = State(), T0, []
    for observation, gap in line:
        now += gap * S
        state, transitions = step(state, observation, now, timing)
        told += [t.change.value for t in transitions if t.change.value in {"firing", "resolved"}]
        assert all(t.at == now for t in transitions)
    assert told == ["firing", "resolved"] * (len(told) // 2) + ["firing"] * (len(told) % 2)
    assert (state.phase in {Phase.FIRING, Phase.RECOVERING}) == bool(told and told[-1] == "firing")


@given(st.lists(st.tuples(observations, st.integers(1, 600)), max_size=60))
def test_a_latched_alert_never_unfires_within_its_window(line: list[tuple[Observation, int]]) -> None:
    """Once a budget has fired, no data, error or correction ends it before its window does."""
    ends, timing = T0 + timedelta(hours=5), Timing(latched=True, forget=timedelta(minutes=5))
    state, now, fired = State(), T0, False
    for observation, gap in line:
        now = min(now + gap * S, ends - S)
        given_now = replace(observation, ends_at=ends) if isinstance(observation, Seen) else observation
        state, _ = step(state, given_now, now, timing)
        fired = fired or state.phase is Phase.FIRING
        assert (state.phase is Phase.FIRING) == fired


@given(st.lists(st.sampled_from([GONE, BROKEN]), min_size=1, max_size=20), st.sampled_from(list(Phase)))
def test_silence_never_changes_a_phase(line: list[Observation], phase: Phase) -> None:
    """However long the store is away within ``forget``, every phase stays."""
    state = State(phase, since=T0, starts_at=T0, evaluated_at=T0, seen_at=T0)
    for i, observation in enumerate(line):
        state, transitions = step(state, observation, T0 + (i + 1) * S, BOTH)
        assert (state.phase, transitions) == (phase, ())

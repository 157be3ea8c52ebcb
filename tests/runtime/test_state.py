"""The state machine: published transitions are made and told, all others raise and change nothing."""

from __future__ import annotations

from itertools import product

import pytest

from spanhouse_runtime.state import TRANSITIONS, IllegalTransition, RunState, StateMachine

PATHS = {
    RunState.IDLE: [],
    RunState.THINKING: [RunState.THINKING],
    RunState.EXECUTING: [RunState.THINKING, RunState.EXECUTING],
    RunState.WAITING: [RunState.WAITING],
    RunState.COMPLETED: [RunState.THINKING, RunState.COMPLETED],
    RunState.FAILED: [RunState.FAILED],
}


@pytest.mark.parametrize(("source", "target"), list(product(RunState, RunState)))
def test_every_pair_of_states_is_either_made_or_raises_and_both_are_told(source: RunState, target: RunState) -> None:
    told: list[tuple[RunState, RunState, bool, str]] = []
    machine = StateMachine(lambda *change: told.append(change))
    for state in PATHS[source]:
        machine.to(state)
    told.clear()
    if target in TRANSITIONS[source]:
        machine.to(target, "why")
        assert (machine.state, told) == (target, [(source, target, True, "why")])
    elif target is source and TRANSITIONS[source] and source is not RunState.IDLE:
        machine.to(target)
        assert (machine.state, told) == (source, [])
    else:
        with pytest.raises(IllegalTransition, match=f"cannot go from {source} to {target}"):
            machine.to(target)
        assert (machine.state, told) == (source, [(source, target, False, "")])


def test_the_final_states_are_final_and_every_other_can_fail() -> None:
    assert TRANSITIONS[RunState.COMPLETED] == TRANSITIONS[RunState.FAILED] == frozenset()
    assert all(RunState.FAILED in after for state, after in TRANSITIONS.items() if after)

"""What a demonstration run is: who asks what of which agent, and how it is expected to end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spanhouse_runtime.agent import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.money import Price

GPT_4O_MINI: Final = ("gpt-4o-mini", "openai", Price(input=0.15, output=0.60, cached_input=0.075))
GPT_4O: Final = ("gpt-4o", "openai", Price(input=2.50, output=10.00, cached_input=1.25))
CLAUDE_OPUS: Final = ("claude-opus-4", "anthropic", Price(input=15.00, output=75.00, cached_input=1.50))


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario plays on.

    Attributes:
        chance: picks names and amounts; seeded, so a round can be played again.
        pace: 1.0 takes as long as real calls would; 0 does not wait at all.
        control: where the operator's flags come from.
        stop_run: sets the operator's stop flag for a run id; None where nobody is there to set it.
    """

    chance: random.Random
    pace: float = 1.0
    control: Control | None = None
    stop_run: Callable[[str], None] | None = None

    def order(self) -> str:
        """Return an order number."""
        return f"A-{self.chance.randint(1000, 9999)}"

    def work(self, seconds: float) -> None:
        """Take as long as the real thing would."""
        time.sleep(seconds * self.pace)


@dataclass(frozen=True, slots=True)
class Case:
    """One staged run: the agent, what it is asked, and whether its last answer is right."""

    agent: Agent
    task: str
    check: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of demonstration run.

    Attributes:
        name: also makes the request id: ``req-demo-<name>``.
        expected: the stop reason it ends with, as text.
        shows: what there is to see, in one line.
        task_type, tenant, user_id: what the run is filed under.
        stage: sets the run up.
        needs_operator: it only ends by an operator's stop flag.
    """

    name: str
    expected: str
    shows: str
    task_type: str
    tenant: str
    user_id: str
    stage: Callable[[Stage], Case]
    needs_operator: bool = False

"""What an agent of this runtime carries through one run, beside what its guard keeps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from spanhouse.runs import Run
from spanhouse_runtime.credentials import Secrets
from spanhouse_runtime.easing import OnNearLimit
from spanhouse_runtime.guard import Guard, GuardedRun
from spanhouse_runtime.idempotency import IdempotencyStore
from spanhouse_runtime.model import Message, Model, Usage
from spanhouse_runtime.result import Tally
from spanhouse_runtime.reviews import ReviewList
from spanhouse_runtime.stopped_answer import Answer, plain_answer
from spanhouse_runtime.tool_cache import ToolCache
from spanhouse_runtime.tool_result import AfterTool
from spanhouse_runtime.tools import Toolbox


@dataclass(frozen=True, slots=True)
class Setup:
    """What every run of an agent has in common; see ``Agent`` for the meaning of each."""

    guard: Guard
    model: Model
    toolbox: Toolbox
    instructions: str
    idempotency: IdempotencyStore
    handover: tuple[str, ...]
    on_timeout: Literal["stop", "tell_model"]
    on_near_limit: OnNearLimit | None = None
    last_answer: Answer = plain_answer
    secrets: Secrets | None = None
    after_tool: AfterTool | None = None
    cache: ToolCache = field(default_factory=ToolCache)
    reviews: ReviewList = field(default_factory=ReviewList)


class Session:
    """The changing part of one run.

    Attributes:
        setup: the agent's settings.
        guarded: the run, and what it may still do.
        scope: what idempotency keys are good for: the run's id, or a scope the caller named.
        messages: the conversation so far, without the instructions.
        usage, cost_known: what the model calls took, and whether the cost of each was known.
        last_input_tokens: how long the conversation was when a provider last counted it.
        model, instructions: what the run thinks with now; they change where a limit comes near.
        eased: limits that have come near and were answered.
        step: the number of the current turn, from 1.
        said: the last text of the model.
        tools: how the calls went, by tool.
    """

    def __init__(self, setup: Setup, guarded: GuardedRun, *, task: str, scope: str) -> None:
        self.setup = setup
        self.guarded = guarded
        self.scope = scope or guarded.run.run_id
        self.messages = [Message("user", task)]
        self.usage = Usage()
        self.cost_known = True
        self.last_input_tokens = 0
        self.model = setup.model
        self.instructions = setup.instructions
        self.eased = 0
        self.step = 0
        self.said = ""
        self.tools: defaultdict[str, Tally] = defaultdict(Tally)

    @property
    def run(self) -> Run:
        """The recorded run."""
        return self.guarded.run

"""How soon a run counts as going round in circles."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field

from spanhouse.loops import CYCLE_REPEATS, LOOP_LENGTH


class LoopSettings(BaseModel):
    """Thresholds of the loop guard: at each the model is warned, and one more ends the run.

    Attributes:
        equal_calls: equal calls in a row.
        tools: other numbers of equal calls, by glob over the tool's name; the first that matches holds. 0 looks away:
            the tool is meant to be polled.
        cycle_repeats: times a pattern of different calls stands in a row.
        patience: how many times the threshold equal calls may reach while their results still change.
        equal_errors: failures in a row with the same error, whatever was called.
        storm_failures, storm_seconds: failed attempts of one tool within so many seconds.
        no_progress: calls in a row whose results have all been seen before.
        equal_texts: equal texts of the model in a row.
        chunk_repeats: times a piece of fifty characters stands in one text, outside code blocks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    equal_calls: int = Field(default=LOOP_LENGTH, ge=2)
    tools: Mapping[str, int] = Field(default_factory=dict)
    cycle_repeats: int = Field(default=CYCLE_REPEATS, ge=2)
    patience: int = Field(default=4, ge=1)
    equal_errors: int = Field(default=4, ge=2)
    storm_failures: int = Field(default=6, ge=2)
    storm_seconds: float = Field(default=60.0, gt=0)
    no_progress: int = Field(default=6, ge=2)
    equal_texts: int = Field(default=3, ge=2)
    chunk_repeats: int = Field(default=10, ge=3)

    def calls_of(self, tool: str) -> int:
        """Return how many equal calls in a row of a tool are a loop; 0 where it is meant to be polled."""
        return next((calls for glob, calls in self.tools.items() if fnmatchcase(tool, glob)), self.equal_calls)

"""The limits a run keeps to, with the defaults every run has unless it is given others."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """The limits of one run. The defaults stop a run that got lost, and leave money and tokens open until they are set.

    Attributes:
        max_steps: turns of the loop; one model call and the tool calls it asked for are one turn.
        max_tool_calls: tool calls that were let through, replays included.
        max_seconds: seconds since the run began.
        max_usd: dollars for model calls; None is no limit. With a limit, a model without a price is refused.
        max_tokens: input and output tokens of all model calls; None is no limit.
        max_output_tokens: output tokens asked of one model call.
        tool_timeout_seconds: seconds a tool may take, where the tool says nothing else.
        tool_result_bytes: bytes of a tool's result that reach the model; the rest is cut and the cut is marked.
        equal_failures: failures of one tool in a row with the same error that exhaust the tool.
        warn_at: share of a limit at which one warning is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_steps: int = Field(default=20, gt=0)
    max_tool_calls: int = Field(default=100, gt=0)
    max_seconds: float = Field(default=300.0, gt=0)
    max_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, gt=0)
    max_output_tokens: int = Field(default=4_000, gt=0)
    tool_timeout_seconds: float = Field(default=30.0, gt=0)
    tool_result_bytes: int = Field(default=65_536, ge=256)
    equal_failures: int = Field(default=3, gt=0)
    warn_at: float = Field(default=0.8, gt=0, le=1)

"""The span classes the rules here tell apart; the collector gives each span exactly one."""

from __future__ import annotations

from typing import Final

AGENT: Final = "agent"
WORKFLOW: Final = "workflow"
MODEL: Final = "llm"
TOOL: Final = "tool"
EMBEDDING: Final = "embedding"
GUARDRAIL: Final = "guardrail"
STEP: Final = "step"
OTHER: Final = "other"
"""Context, such as HTTP and database spans: no part of what an agent does."""

AGENTIC: Final = (AGENT, WORKFLOW)
"""Classes that make the span they stand on top of the root of a run."""
RUN_MAKING: Final = (AGENT, WORKFLOW, MODEL, TOOL, EMBEDDING)
"""A group of spans is a run when it holds at least one of these."""

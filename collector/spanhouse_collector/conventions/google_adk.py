"""Google's Agent Development Kit: GenAI names today; before that its own blobs of requests and responses."""

from __future__ import annotations

from typing import Final

from spanhouse.attributes import TOOL_NAME
from spanhouse_collector.conventions.convention import (
    LLM,
    STEP,
    WORKFLOW,
    ClassRule,
    Convention,
    Sighting,
    Source,
)
from spanhouse_collector.conventions.readers import name, text
from spanhouse_collector.wire import Value

_SCOPE: Final = "gcp.vertex.agent"
_WITHOUT_OPERATION: Final = {"invocation": WORKFLOW, "call_llm": LLM}


def _merged(span: Sighting) -> str:
    # Stands for several parallel calls, each of which has a span of its own below.
    return STEP if span.attributes.get(TOOL_NAME) == "(merged tools)" else ""


def _by_name(span: Sighting) -> str:
    return _WITHOUT_OPERATION.get(span.name, STEP)


def _blob(value: Value) -> str | None:
    # An empty object stands for "not captured".
    found = text(value)
    return None if found in {"{}", "null"} else found


GOOGLE_ADK: Final = Convention(
    name="google_adk",
    scopes=(_SCOPE,),
    keys=("gcp.vertex.agent.*",),
    classes=(
        ClassRule(2, (TOOL_NAME,), _merged, scopes=(_SCOPE,)),
        ClassRule(9, (), _by_name, scopes=(_SCOPE,), named=True),
    ),
    sources=(
        Source("session_id", ("gcp.vertex.agent.session_id",), name),
        Source("tool_arguments", ("gcp.vertex.agent.tool_call_args",), _blob),
        Source("tool_result", ("gcp.vertex.agent.tool_response",), _blob),
        Source("preview_input", ("gcp.vertex.agent.llm_request",), _blob),
        Source("preview_output", ("gcp.vertex.agent.llm_response",), _blob),
    ),
)

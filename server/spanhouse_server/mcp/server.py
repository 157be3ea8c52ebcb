"""The MCP server: each tool is one question somebody debugging an agent asks, answered from the API."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Annotated, Any, Final, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from spanhouse.client import Client
from spanhouse.errors import SpanhouseError
from spanhouse.stop_reasons import StopCode
from spanhouse_server.mcp.bounds import fitted
from spanhouse_server.mcp.compare import compared
from spanhouse_server.sql.columns import sentences

MOST_RUNS: Final = 100
MOST_SPANS: Final = 200
_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_GUIDE: Final = resources.files("spanhouse_server.mcp").joinpath("guide.md")

_Since = Annotated[str, Field(description="Age such as 15m, 24h, 7d, or an RFC 3339 time; 'all' for all time")]
_Id = Annotated[str, Field(description="Run id", min_length=1, max_length=256)]
_IN_LISTS: Final = (
    *("run_id", "request_id", "tenant", "environment", "agent", "agent_version", "model", "status", "stop_reason"),
    *("outcome", "started_at", "run_seconds", "steps", "tool_calls", "tool_errors", "input_tokens", "output_tokens"),
    *("cost_usd", "escalated", "error_message", "input_preview"),
)


def build(api: Client) -> MCPServer[Any]:
    """Return the MCP server over a client of the API; whoever runs it owns both.

    Every tool answers in JSON text of bounded size. What the API refuses becomes the text of a failed call, in the
    API's own words.
    """
    server: MCPServer[Any] = MCPServer(
        "spanhouse", instructions=_GUIDE.read_text(encoding="utf-8"), log_level="WARNING"
    )
    _add_tools(server, api)
    _add_resources(server, api)
    return server


def _add_tools(server: MCPServer[Any], api: Client) -> None:
    tool = server.tool(annotations=_READS, structured_output=False)

    @tool
    def find_runs(
        since: _Since = "24h",
        agent: str | None = None,
        tenant: str | None = None,
        environment: str | None = None,
        model: str | None = None,
        status: Literal["running", "ended"] | None = None,
        stop_reason: Annotated[str | None, Field(description="Code such as max_steps, or code:subject")] = None,
        outcome: Literal["success", "failure", "unknown"] | None = None,
        tool: Annotated[str | None, Field(description="Runs that called this tool")] = None,
        request_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        text: Annotated[str | None, Field(description="Word in what was asked, answered or went wrong")] = None,
        limit: Annotated[int, Field(ge=1, le=MOST_RUNS)] = 20,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before")] = None,
    ) -> str:
        """Find runs of agents, newest first: id, agent, stop reason, outcome, cost and the beginning of the request."""
        page = _asked(
            lambda: api.runs(
                since=_time(since),
                agent=agent,
                tenant=tenant,
                environment=environment,
                model=model,
                status=status,
                stop_reason=stop_reason,
                outcome=outcome,
                tool=tool,
                request_id=request_id,
                session_id=session_id,
                user_id=user_id,
                text=text,
                limit=limit,
                cursor=cursor,
            )
        )
        return fitted({"runs": [_listed(run) for run in page["runs"]], "next_cursor": page["next_cursor"]})

    @tool
    def explain_request(
        id: Annotated[str, Field(description="Request, run, trace or session id", min_length=1, max_length=256)],  # noqa: A002
    ) -> str:
        """Explain what happened for an id: runs, stop reasons, first failing step, tool calls, decisions, budget."""
        return fitted(_asked(lambda: api.triage(id)))

    @tool
    def get_run(
        run_id: _Id,
        limit: Annotated[int, Field(ge=1, le=MOST_SPANS, description="Spans of this page")] = 50,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before")] = None,
        content: Annotated[bool, Field(description="With input, output and attributes; large")] = False,  # noqa: FBT002
    ) -> str:
        """Get one run with all its figures, and a page of its spans in the order they started."""
        run = _asked(lambda: api.run(run_id))
        page = _asked(lambda: api.spans(run["run_id"], content=content, limit=limit, cursor=cursor))
        return fitted({"run": run, "spans": page["spans"], "next_cursor": page["next_cursor"]})

    @tool
    def compare_runs(run_a: _Id, run_b: _Id) -> str:
        """Compare two runs: the first step where they part, the facts that differ, their figures side by side."""
        left, right = _asked(lambda: api.run(run_a)), _asked(lambda: api.run(run_b))
        steps = [_asked(lambda: api.steps(left["run_id"])), _asked(lambda: api.steps(right["run_id"]))]
        return fitted(compared(left, right, *(answer["steps"] for answer in steps)))

    @tool
    def metrics(
        names: Annotated[list[str], Field(description="Names from metric_catalogue", min_length=1, max_length=20)],
        since: _Since = "24h",
        until: str | None = None,
        by: Annotated[str | None, Field(description="agent, model, tool, tenant, environment, stop_code, …")] = None,
        step: Annotated[str | None, Field(description="Length of a time bucket: 1h, 1d")] = None,
        agent: str | None = None,
        tenant: str | None = None,
        environment: str | None = None,
    ) -> str:
        """Compute metrics over a window, by group and time bucket, with numerator, denominator and 95 % interval."""
        return fitted(
            _asked(
                lambda: api.metrics(
                    names,
                    since=_time(since),
                    until=until,
                    by=by,
                    step=step,
                    agent=agent,
                    tenant=tenant,
                    environment=environment,
                )
            )
        )

    @tool
    def metric_catalogue() -> str:
        """List every metric there is: name, unit, kind and what it means."""
        return fitted(_asked(api.metric_catalogue))

    @tool
    def tools_health(since: _Since = "24h", agent: str | None = None, tenant: str | None = None) -> str:
        """List the agents' tools with calls, error rate, denials and latency."""
        return fitted(_asked(lambda: api.tools(since=_time(since), agent=agent, tenant=tenant)))

    @tool
    def live_runs(limit: Annotated[int, Field(ge=1, le=MOST_RUNS)] = 20) -> str:
        """List the runs that go on at this moment."""
        page = _asked(lambda: api.runs(status="running", limit=limit))
        return fitted({"runs": [_listed(run) for run in page["runs"]], "next_cursor": page["next_cursor"]})

    @tool
    def alerts() -> str:
        """List alerts, those that fire first, with rules and notifications."""
        return fitted(_asked(api.alerts))


def _add_resources(server: MCPServer[Any], api: Client) -> None:
    @server.resource("spanhouse://docs/guide", mime_type="text/markdown", description="How to look into a run")
    def guide() -> str:
        return _GUIDE.read_text(encoding="utf-8")

    @server.resource("spanhouse://docs/metrics", mime_type="text/markdown", description="Every metric and its meaning")
    def catalogue() -> str:
        try:
            rows = api.metric_catalogue()["metrics"]
        except SpanhouseError as error:
            raise ResourceError(str(error)) from None
        return "\n".join(
            ["# Metrics", "", *(f"- `{m['name']}` ({m['unit']}, {m['kind']}): {m['meaning']}" for m in rows)]
        )

    @server.resource("spanhouse://docs/stop-reasons", mime_type="text/markdown", description="Why a run can stop")
    def stop_reasons() -> str:
        return "\n".join(
            ["# Stop reasons", "", "One a run, `code` or `code:subject`.", "", *(f"- `{c}`" for c in StopCode)]
        )

    @server.resource("spanhouse://docs/tables", mime_type="text/markdown", description="Tables and columns for SQL")
    def tables() -> str:
        lines = ["# Tables"]
        for table, columns in sentences().items():
            lines += ["", f"## {table}", "", columns[""], ""]
            lines += [f"- `{name}`: {meaning}" for name, meaning in columns.items() if name]
        return "\n".join(lines)


def _asked(question: Callable[[], Any]) -> Any:  # noqa: ANN401 - decoded JSON
    """Return what the API answered; its refusal becomes the text of the failed call."""
    try:
        return question()
    except SpanhouseError as error:
        raise ToolError(str(error)) from None


def _time(since: str) -> str | None:
    return None if since == "all" else since


def _listed(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in _IN_LISTS if run[name] is not None}

"""``spanhouse mcp`` as a coding agent uses it: the real client over stdio, a real server behind."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from tests.support.process import free_port, spanhouse
from tests.support.served import Served

from spanhouse_server.cli.mcp import mcp
from spanhouse_server.mcp.bounds import LARGEST, fitted
from spanhouse_server.mcp.compare import divergence

TOOLS = {
    *("find_runs", "explain_request", "get_run", "compare_runs", "metrics", "metric_catalogue", "tools_health"),
    *("live_runs", "alerts"),
}


def talk(served: Served, session: Callable[[Client], Awaitable[None]]) -> None:
    """Run a conversation with a server of its own process over stdio."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "spanhouse_server", "mcp", "--url", served.url],
        env={"SPANHOUSE_TOKEN": "", "PYTHONDONTWRITEBYTECODE": "1"},
    )

    async def talked() -> None:
        async with Client(command, read_timeout_seconds=60) as client:
            await session(client)

    asyncio.run(talked())


async def told(client: Client, tool: str, **arguments: Any) -> Any:
    """Return the JSON of a call that must succeed."""
    result = await client.call_tool(tool, arguments)
    text = result.content[0].text  # type: ignore[union-attr]
    assert not result.is_error, text
    assert len(text) <= LARGEST
    return json.loads(text)


async def failed(client: Client, tool: str, **arguments: Any) -> str:
    """Return the text of a call that must fail."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


def test_a_coding_agent_s_session(served: Served) -> None:
    """Every tool answers from the API, every resource is there, and mistakes are sentences."""
    keys = [run["request_id"] for run in served.pages("/api/v1/runs", "runs", limit=100) if run["request_id"]]
    some = served.get("/api/v1/runs", limit=50)["runs"]
    ended = [run for run in some if run["status"] == "ended" and run["steps"]]

    async def session(client: Client) -> None:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(listed) == TOOLS
        for tool in listed.values():
            assert tool.description
            assert tool.annotations
            assert tool.annotations.read_only_hint
        assert "explain_request" in (client.instructions or "")

        found = await told(client, "find_runs", since="all", limit=3)
        assert len(found["runs"]) == 3
        more = await told(client, "find_runs", since="all", limit=3, cursor=found["next_cursor"])
        assert {run["run_id"] for run in more["runs"]}.isdisjoint(run["run_id"] for run in found["runs"])
        agent = found["runs"][0]["agent"]
        assert {r["agent"] for r in (await told(client, "find_runs", since="all", agent=agent))["runs"]} == {agent}

        explained = await told(client, "explain_request", id=keys[0])
        assert explained["matched_by"] == "request_id"
        assert explained["runs"][0]["run"]["request_id"] == keys[0]

        one = await told(client, "get_run", run_id=ended[0]["run_id"], limit=1)
        assert one["run"]["stop_reason"] == ended[0]["stop_reason"]
        assert len(one["spans"]) == 1
        deep = await told(client, "get_run", run_id=ended[0]["run_id"], content=True)
        assert "attributes" in deep["spans"][0]

        both = await told(client, "compare_runs", run_a=ended[0]["run_id"], run_b=ended[1]["run_id"])
        assert both["runs"] == [ended[0]["run_id"], ended[1]["run_id"]]
        assert both["figures"]["steps"]["values"] == [ended[0]["steps"], ended[1]["steps"]]
        same = await told(client, "compare_runs", run_a=ended[0]["run_id"], run_b=ended[0]["run_id"])
        assert same["first_divergence"] is None
        assert same["facts_that_differ"] == {}

        points = (await told(client, "metrics", names=["completion_rate"], since="all", by="agent"))["points"]
        assert {"value", "numerator", "denominator", "low", "high"} <= set(points[0])
        names = {m["name"] for m in (await told(client, "metric_catalogue"))["metrics"]}
        assert "tool_error_rate" in names
        assert (await told(client, "tools_health", since="all"))["tools"]
        assert all(r["status"] == "running" for r in (await told(client, "live_runs"))["runs"])
        assert "rules" in await told(client, "alerts")

        assert "no such" in (await failed(client, "explain_request", id="no such")).lower()
        assert "did you mean" in await failed(client, "metrics", names=["completion_rat"])
        assert "limit" in await failed(client, "find_runs", limit=100_000)
        assert await failed(client, "find_runs", since="yesterday-ish")

        resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert resources == {f"spanhouse://docs/{name}" for name in ("guide", "metrics", "stop-reasons", "tables")}
        for uri in resources:
            text = (await client.read_resource(uri)).contents[0].text  # type: ignore[union-attr]
            assert text.startswith("# ")

    talk(served, session)


def test_a_server_that_is_away_is_a_sentence() -> None:
    """The tools are there; a call says that the server does not answer, and how it was addressed."""
    port = free_port()
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "spanhouse_server", "mcp", "--url", f"http://127.0.0.1:{port}"]
    )

    async def talked() -> None:
        async with Client(command, read_timeout_seconds=60) as client:
            assert str(port) in await failed(client, "live_runs")

    asyncio.run(talked())


def test_the_same_over_http(served: Served) -> None:
    """Streamable HTTP on loopback, for clients that do not start processes."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen([*spanhouse("mcp"), "--http", address, "--url", served.url], stderr=subprocess.DEVNULL)

    async def talked() -> None:
        async with Client(f"http://{address}/mcp", read_timeout_seconds=60) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
            assert (await told(client, "find_runs", since="all", limit=1))["runs"]

    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        asyncio.run(talked())
    finally:
        process.terminate()
        process.wait(30)


def test_it_is_not_served_beyond_loopback() -> None:
    """Over HTTP nobody is asked for a key, so other machines cannot reach it."""
    ended = CliRunner().invoke(mcp, ["--http", "0.0.0.0:8000"])
    assert ended.exit_code == 2
    assert "127.0.0.1" in ended.stderr


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5_000),
        lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=10), inner, max_size=10),
        max_leaves=60,
    ),
    st.integers(3_000, 20_000),
)
def test_an_answer_fits_and_is_json(value: Any, largest: int) -> None:
    """Whatever the API gave: within the bound, readable, and unchanged where it is small."""
    text = fitted(value, largest)
    assert len(text) <= largest
    read = json.loads(text)
    whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(whole) <= min(largest, 2_000):
        assert read == value


STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["tool", "model"]),
            "tool": st.sampled_from([None, "search"]),
            "args_hash": st.sampled_from([None, "a", "b"]),
            "status": st.sampled_from(["ok", "error"]),
            "decision": st.none(),
        }
    ),
    max_size=8,
)


@given(STEPS, STEPS)
def test_runs_part_at_the_first_step_that_is_not_the_same(
    left: list[dict[str, Any]], right: list[dict[str, Any]]
) -> None:
    """All before it are equal, it is not, and the order of the two does not matter."""
    at = divergence(left, right)
    assert at == divergence(right, left)
    if at is None:
        assert left == right
    else:
        assert left[:at] == right[:at]
        assert left[at : at + 1] != right[at : at + 1]

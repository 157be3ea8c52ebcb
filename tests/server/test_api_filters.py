"""The filter language through the API and the command line, and what is refused instead of guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from tests.support.served import Served
from tests.support.served_runs import FILLERS, HOSTILE_ID, ids

from spanhouse.errors import ServerError
from spanhouse.filters.fields import RUN_FIELDS, SPAN_FIELDS
from spanhouse_analysis.rows import RUN, SPAN
from spanhouse_server.api.filters import values
from spanhouse_server.cli.commands import cli


def requests(served: Served, text: str, **query: Any) -> set[str]:
    return {run["request_id"] for run in served.pages("/api/v1/runs", "runs", filter=text, **query)}


def test_every_field_of_a_run_and_a_span_can_be_asked_about() -> None:
    """But for a run's budget, which is asked about by name; what the language has besides is derived."""
    assert set(RUN) - {"budget"} <= set(RUN_FIELDS)
    assert {*SPAN, "ms", "model"} <= set(SPAN_FIELDS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("request = req-refund", {"req-refund"}),
        ("cost = 0.008 and run_seconds = 1m and tokens > 2k", {"req-refund"}),
        ('budget("max_usd").used >= 0.008', {"req-refund"}),
        ('attr("service.name") = "served-runs" and request = req-refund', {"req-refund"}),
        ('attr("service.name") is null', set()),
        ("span(class = llm and input_tokens > 1000 and model ~ GPT-4O)", {"req-refund"}),
        ("run_id = RUN and span(class = tool and ms > 0)", {"req-refund"}),
        ("run_id = RUN and span(class = guardrail)", set()),
        ("session in (sess-refund, 'no such') and complete and not escalated", {"req-refund"}),
        ("request ~ HOSTILE and started_at < 24h", {HOSTILE_ID}),
        ("request = req-refund and started_at > 24h", set()),
    ],
)
def test_a_filter_finds_what_it_says(served: Served, text: str, found: set[str]) -> None:
    assert requests(served, text.replace("RUN", ids("refund")[0])) == found


def test_text_is_looked_for_in_spans_too(served: Served) -> None:
    """The result of a tool call stands in no preview of its run."""
    assert requests(served, r'text ~ "\"OK\": true"') == {"req-refund"}
    assert {run["request_id"] for run in served.pages("/api/v1/runs", "runs", text='"ok": true')} == {"req-refund"}


def test_simple_filters_and_the_language_are_one(served: Served) -> None:
    assert requests(served, "tool_calls >= 0", agent="filler-agent") == requests(served, "agent = filler-agent")
    assert len(requests(served, "agent = filler-agent")) == FILLERS


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs",
        "/api/v1/metrics?name=runs",
        "/api/v1/tools",
        "/api/v1/models",
        "/api/v1/sessions",
        "/api/v1/tail",
    ],
)
def test_every_route_over_runs_takes_it_and_refuses_one_that_cannot_be_read(served: Served, path: str) -> None:
    """With the nearest name and a caret under the place."""
    path, _, query = path.partition("?")
    more = dict([query.split("=")]) if query else {}
    detail = served.refused(path, 400, filter="agent = a and stop_reson = b", **more)["detail"]
    assert "unknown field 'stop_reson': did you mean 'stop_reason'?" in detail
    assert detail.endswith("\n  agent = a and stop_reson = b\n                ^^^^^^^^^^")


def test_figures_are_over_the_runs_of_the_filter(served: Served) -> None:
    def runs(**query: Any) -> Any:
        return served.get("/api/v1/metrics", name="runs", **query)["points"][0]["value"]

    assert runs(filter="agent = filler-agent") == FILLERS
    assert runs(filter="agent = nobody") is None
    assert served.get("/api/v1/models", filter="request = req-refund")["models"][0]["runs"] == 1
    assert served.get("/api/v1/tools", filter="agent = nobody")["tools"] == []


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["a,b", "c"], ("a", "b", "c")),
        (['"a,b",c'], ("a,b", "c")),
        (['"say ""x"", y"'], ('say "x", y',)),
        (['say "x"'], ('say "x"',)),
        (['"open'], ('"open',)),
        (["", ","], ()),
    ],
)
def test_a_comma_parts_values_unless_they_are_in_quotes(given: list[str], read: tuple[str, ...]) -> None:
    assert values(given) == read


def test_the_client_sends_a_list_as_it_is(served: Served) -> None:
    client = served.client
    assert client.runs(agent=["a,b", "filler-agent"], limit=1)["runs"][0]["agent"] == "filler-agent"
    assert client.runs(agent=["filler-agent,x"])["runs"] == []
    with pytest.raises(ServerError, match=r"\^\n\(/api/v1/runs"):
        client.runs(filter="cost >")


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/api/v1/runs", {"sort": "-cost"}, "did you mean 'cost_usd'?"),
        ("/api/v1/runs", {"filtr": "a"}, "did you mean 'filter'?"),
        ("/api/v1/runs", {"status": "runing"}, "did you mean 'running'?"),
        ("/api/v1/runs", {"cursor": "bm9uZQ"}, "does not continue this list"),
        ("/api/v1/runs", {"since": "yesterday"}, "nor an age (15m, 24h, 7d)"),
        ("/api/v1/sessions", {"sort": "last"}, "did you mean 'last_at'?"),
        ("/api/v1/sessions", {"cursor": "bm9uZQ"}, "does not continue this list"),
        ("/api/v1/metrics", {"name": "completion_rat"}, "completion_rate"),
        ("/api/v1/metrics", {"name": "runs", "by": "agnet"}, "did you mean 'agent'?"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_the_nearest(
    served: Served, path: str, query: dict[str, str], said: str
) -> None:
    assert said in served.refused(path, 400, **query)["detail"]


def test_an_empty_list_has_columns_in_arrow(served: Served) -> None:
    answer = served.http.get(
        "/api/v1/sessions?filter=agent=nobody", headers={"accept": "application/vnd.apache.arrow.stream"}
    )
    with pa.ipc.open_stream(answer.content) as stream:
        table = stream.read_all()
    assert (table.num_rows, table.column_names[:3]) == (0, ["session_id", "tenant", "runs"])


def test_seconds_are_those_between_start_and_end(served: Served) -> None:
    """A minute is 60.0, whatever is divided how."""
    [run] = served.get("/api/v1/runs", request_id="req-refund")["runs"]
    assert run["run_seconds"] == 60.0


def test_the_command_line_takes_the_filter(served: Served, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(
            cli, arguments, env={"SPANHOUSE_URL": served.url, "SPANHOUSE_DATA": str(served.data)}
        )
        assert ended.exit_code == code, ended.output
        return ended.output

    assert "req-refund" not in run("runs", "--filter", "agent = filler-agent")
    assert '"value": 1.0' in run("metrics", "--name", "runs", "--filter", "request = req-refund", "--json")
    assert "No run matches" in run("runs", "--filter", "complete and agent = nobody", "--incomplete")
    said = run("runs", "--filter", "cots > 1", code=1)
    assert "did you mean 'cost'?" in said
    assert "\n  cots > 1\n  ^^^^\n" in said
    out = tmp_path / "runs.json"
    run("export", "runs", "--filter", "request = req-refund", "--format", "json", "--out", str(out))
    assert "req-refund" in out.read_text()

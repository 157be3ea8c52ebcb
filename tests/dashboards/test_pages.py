from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.caching.cache_data_api import CachedDataFuncInfo
from streamlit.runtime.caching.cache_utils import CachedFunc
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import PageLink
from tests.dashboards.conftest import Api
from tests.support.sample_runs import HOSTILE

import spanhouse_dashboards
from spanhouse_dashboards import data, settings

APP = Path(spanhouse_dashboards.__file__).with_name("app.py")


def opened(page: str, **query: str) -> AppTest:
    """Return the page after its first run, with no exception in it."""
    app = AppTest.from_file(str(APP), default_timeout=30)
    if page != "overview":
        # The first run registers the pages; it shows the default one.
        app.run()
        app.switch_page(f"views/{page}.py")
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, [item.value for item in app.exception]
    return app


def shown(app: AppTest) -> str:
    """Return every text on the page, for what must or must not be read there."""
    kinds = ("title", "subheader", "markdown", "caption", "text", "code", "metric", "error", "info")
    parts = [str(element.value) for kind in kinds for element in getattr(app, kind)]
    return "\n".join([*parts, *(str(element.label) for element in app.metric)])


def links(app: AppTest) -> list[str]:
    """Return the labels of the page's links."""
    return [link.label for link in app.get("page_link") if isinstance(link, PageLink)]


def table(app: AppTest, column: str) -> Any:
    """Return the first table that has the column."""
    return next(item.value for item in app.dataframe if column in item.value.columns)


def test_the_overview_shows_each_headline_number_with_runs_behind_it(api: Api) -> None:
    app = opened("overview")
    assert [metric.label for metric in app.metric] == [
        "Completed",
        "Completed without a person",
        "Tokens per run",
        "Cost",
        "Tool errors",
        "Runs in a loop",
        "Denied by policy",
        "Running now",
    ]
    assert app.metric[0].value.endswith("%")
    assert len(links(app)) == 8
    assert set(table(app, "Tool")["Tool"]) >= {"run_sql", "send_email"}


def test_a_window_in_the_address_is_the_window_of_every_figure(api: Api) -> None:
    day, week = opened("overview", since="24h"), opened("overview", since="7d")
    assert table(day, "Ended runs")["Ended runs"].sum() < table(week, "Ended runs")["Ended runs"].sum()


def test_an_empty_store_shows_how_to_send_a_first_run(api: Api) -> None:
    api.app.state.empty = True
    for page in ("overview", "runs"):
        app = opened(page, since="all")
        assert any(f'url="{api.url}"' in block.value for block in app.code)


def test_the_runs_page_filters_by_its_address_and_takes_values_no_list_holds(api: Api) -> None:
    app = opened("runs", stop_reason="policy_deny:send_email", since="all")
    found = table(app, "Ended by")
    assert [list(reason) for reason in found["Ended by"]] == [["policy_deny:send_email"]]
    assert "No run matches" in shown(opened("runs", agent="nobody", since="all"))


def test_the_runs_page_goes_on_by_cursor_and_back(api: Api) -> None:
    app = opened("runs", since="all")
    first = list(table(app, "Request id")["Request id"])
    app.button(key="next").click().run()
    second = list(table(app, "Request id")["Request id"])
    assert len(first) == 50
    assert not set(filter(None, first)) & set(filter(None, second))
    app.button(key="previous").click().run()
    assert list(table(app, "Request id")["Request id"]) == first


def test_the_order_in_the_address_is_the_order_of_the_table(api: Api) -> None:
    tokens = table(opened("runs", since="all", sort="-tokens"), "Tokens")["Tokens"].dropna()
    assert list(tokens) == sorted(tokens, reverse=True)


def test_a_run_tells_how_it_ended_what_it_used_and_what_failed_first(api: Api) -> None:
    run = api.sample.run("exhausted")
    words = shown(opened("run", run_id=run["run_id"]))
    assert "run_sql kept failing until no attempt was left." in words
    assert "connection refused by 10.0.0.7:5432" in words
    assert run["run_id"] in words
    assert "use unknown" in words


def test_a_run_opens_at_its_first_failing_span_unless_the_address_names_another(api: Api) -> None:
    run = api.sample.run("exhausted")
    failing = next(step for step in api.sample.steps[run["run_id"]] if step["status"] == "error")
    assert f"execute\\_tool {failing['tool']}".replace("_sql", "\\_sql") in shown(opened("run", run_id=run["run_id"]))
    root = shown(opened("run", run_id=run["run_id"], span_id=run["root_span_id"]))
    assert "invoke\\_agent" in root


def test_a_running_run_has_no_duration_of_its_root_yet(api: Api) -> None:
    words = shown(opened("run", run_id=api.sample.run("running")["run_id"]))
    assert "not finished" in words
    assert "**0\\.0 ms**" not in words


def test_unknown_numbers_of_a_run_are_dashes(api: Api) -> None:
    words = shown(opened("run", run_id=api.sample.run("unknown")["run_id"])).splitlines()
    assert words.count("**—**") >= 2
    assert "**unknown**" in words
    assert "**$0**" not in words


def test_a_missing_run_says_what_was_searched(api: Api) -> None:
    app = opened("run", run_id="nosuch")
    assert "nosuch" in app.error[0].value


def test_a_server_that_is_away_is_told_with_the_way_out(api: Api) -> None:
    settings.configure("http://127.0.0.1:1")
    for page, query in (("overview", {}), ("runs", {}), ("triage", {"id": "x"}), ("alerts", {})):
        app = opened(page, **query)
        assert "spanhouse up" in app.error[0].value


def test_triage_answers_in_one_screen_and_lists_every_run_of_the_request(api: Api) -> None:
    app = opened("triage", id="req-7f3a")
    words = shown(app)
    assert "a request id of 2 runs" in words
    assert "A policy refused send_email, and the run stopped there." in words
    assert "connection refused by 10.0.0.7:5432" in words
    assert {"Open the run", "Show the span"} <= set(links(app))
    decisions = table(app, "Decision")
    assert list(decisions["Decision"]) == ["deny"]


def test_triage_takes_a_run_trace_or_session_id_as_well(api: Api) -> None:
    run = api.sample.run("denied")
    for kind in ("run_id", "trace_id", "session_id"):
        assert f"a {kind.replace('_', ' ')}" in shown(opened("triage", id=run[kind]))


def test_alerts_show_what_fires_first_with_unknown_values_unknown(api: Api) -> None:
    app = opened("alerts")
    assert [(metric.label, metric.value) for metric in app.metric] == [
        ("Firing", "1"),
        ("Pending", "1"),
        ("Resolved", "1"),
    ]
    texts = [item.value for item in app.text]
    assert texts[0].startswith("41 % of run_sql calls failed")
    assert any("observed —" in item.value for item in app.caption)


@pytest.mark.parametrize("page", ["overview", "runs", "run"])
def test_what_a_model_wrote_is_never_markdown(api: Api, page: str) -> None:
    hostile = api.sample.run("hostile")
    app = opened(page, **({"run_id": hostile["run_id"]} if page == "run" else {"since": "all"}))
    interpreted = [
        str(item.value) for kind in ("title", "subheader", "markdown", "caption") for item in getattr(app, kind)
    ]
    interpreted += links(app)
    assert not any(HOSTILE[:20] in words or "[link](" in words for words in interpreted)


def test_the_runs_page_takes_a_filter_from_its_address(api: Api) -> None:
    app = opened("runs", filter="stop_reason = policy_deny and tool_calls > 0", since="all")
    assert [next(iter(reason)).partition(":")[0] for reason in table(app, "Ended by")["Ended by"]] == ["policy_deny"]


def test_a_filter_that_cannot_be_read_is_shown_with_a_caret_and_asks_for_nothing(api: Api) -> None:
    app = opened("runs", filter="stop_reson = finish", since="all")
    assert "did you mean 'stop" in shown(app)
    assert [block.value for block in app.code] == ["  stop_reson = finish\n  ^^^^^^^^^^"]
    assert not app.dataframe


def test_simple_filters_are_chips_of_the_language_that_can_be_taken_away_or_made_one_filter(api: Api) -> None:
    app = opened("runs", agent="a, b", complete="true", since="all")
    chips = [button.label.replace("\\", "") for button in app.button if str(button.key).startswith("chip_")]
    assert chips == ['agent = "a, b"', "complete = true"]
    app.button(key="chip_agent").click().run()
    assert "agent" not in app.query_params
    assert len(table(app, "Request id")) == 50
    app.button(key="as_filter").click().run()
    assert app.query_params["filter"] == "complete = true"
    assert len(table(app, "Request id")) == 50


def test_runs_that_go_on_stand_above_the_list(api: Api) -> None:
    app = opened("runs", since="all")
    assert len(table(app, "Running")) == 1
    assert "1 running now" in shown(app)
    assert "running now" not in shown(opened("runs", since="all", status="ended"))


def test_the_runs_page_has_a_widget_for_every_simple_filter(api: Api) -> None:
    from spanhouse.filters import SIMPLE_FLAGS, SIMPLE_TEXTS  # noqa: PLC0415
    from spanhouse_dashboards.filter_bar import LABELS  # noqa: PLC0415

    assert set(LABELS) == {*SIMPLE_TEXTS, *SIMPLE_FLAGS}
    widgets = {widget.key for kind in ("selectbox", "text_input") for widget in getattr(opened("runs"), kind)}
    assert {f"address_{name}" for name in (*LABELS, "text", "filter")} <= widgets


def test_a_session_is_read_turn_by_turn(api: Api) -> None:
    run = api.sample.runs[0]
    listed = table(opened("sessions", since="all"), "Session")
    assert run["session_id"] in list(listed["Session"])
    app = opened("sessions", session_id=run["session_id"])
    assert run["session_id"].replace("-", "\\-") in shown(app)
    assert run["input_preview"] in [block.value for block in app.text]
    assert "no run names the session" in shown(opened("sessions", session_id="nobody")).replace("\\", "")


def test_a_run_shows_what_evaluators_said_and_which_of_them_failed(api: Api) -> None:
    run = api.sample.run("finished")
    app = opened("run", run_id=run["run_id"])
    assert "Scores (4)" in [tab.label for tab in app.tabs]
    shown_rows = {row["Score"]: row for row in table(app, "Explanation").to_dict("records")}
    assert shown_rows["relevance"]["Value"] == pytest.approx(0.87)
    assert shown_rows["relevance"]["About"].startswith("chat ")
    assert shown_rows["resolved"]["Label"] == "yes"
    assert shown_rows["resolved"]["About"] == "the run"
    assert shown_rows["groundedness"]["Error"] == "timeout"
    assert shown_rows["judge toxicity"]["Error"] == "the judge's answer is no JSON"
    assert "No evaluator scored this run" in shown(opened("run", run_id=api.sample.run("denied")["run_id"]))


def test_the_overview_says_what_models_cost_and_that_a_missing_price_is_unknown(api: Api) -> None:
    models = table(opened("overview", since="all"), "Tokens in")
    assert models["Calls"].sum() == sum(run["model_calls"] for run in api.sample.runs)
    unpriced = api.sample.run("unknown")
    cost = dict(zip(models["Model"], models["Cost"], strict=True))
    assert cost[unpriced["model"]].endswith(f" + {unpriced['model_calls']} calls unknown")
    assert "what they cost is unknown and in no sum" in shown(opened("overview", since="all"))


def test_answers_are_kept_for_each_visitor_apart() -> None:
    """What one visitor may see must not come out of the memory of another's page."""
    kept = [value._info for value in vars(data).values() if isinstance(value, CachedFunc)]
    scopes = {found.func.__name__: found.scope for found in kept if isinstance(found, CachedDataFuncInfo)}
    assert {"runs", "sessions", "session", "scores", "models", "facets"} <= scopes.keys()
    assert set(scopes.values()) == {"session"}

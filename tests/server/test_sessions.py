"""Sessions: the runs that name one, added up in the list and in order as a conversation."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from tests.support.served import Served
from tests.support.served_runs import ids

from spanhouse_server.cli.commands import cli


def test_a_session_adds_up_its_runs(served: Served) -> None:
    sessions = {row["session_id"]: row for row in served.get("/api/v1/sessions")["sessions"]}
    twice, refund = sessions["sess-twice"], sessions["sess-refund"]
    assert (twice["runs"], twice["completed"], twice["running"], twice["agents"]) == (2, 2, 0, ["twin-agent"])
    assert (twice["last_run_id"], twice["last_status"], twice["last_stop_reason"]) == (
        ids("twice-2")[0],
        "ended",
        "finish",
    )
    assert (refund["users"], refund["cost_usd"], refund["input_tokens"]) == (["u-1"], 0.008, 2400)
    assert (refund["first_at"], refund["last_at"]) == ("2026-01-05T12:00:00.000000Z", "2026-01-05T12:01:00.000000Z")


@pytest.mark.parametrize("sort", ["last_at", "-first_at", "-runs", "cost_usd", "-tokens"])
def test_sessions_are_paged_in_every_order_each_once(served: Served, sort: str) -> None:
    whole = [row["session_id"] for row in served.get("/api/v1/sessions", sort=sort)["sessions"]]
    assert [row["session_id"] for row in served.pages("/api/v1/sessions", "sessions", sort=sort, limit=1)] == whole
    assert len(whole) == len(set(whole)) >= 2


def test_a_filter_narrows_the_runs_that_are_added_up(served: Served) -> None:
    [row] = served.get("/api/v1/sessions", filter="input_preview ~ 'ask 2'")["sessions"]
    assert (row["session_id"], row["runs"]) == ("sess-twice", 1)
    assert served.get("/api/v1/sessions", agent="filler-agent")["sessions"] == []


def test_a_session_is_a_conversation_in_order(served: Served) -> None:
    found = served.get("/api/v1/sessions/sess-twice")
    assert [turn["asked"] for turn in found["turns"]] == ["ask 1", "ask 2"]
    assert [turn["run"]["run_id"] for turn in found["turns"]] == [ids("twice-1")[0], ids("twice-2")[0]]
    assert found["session"]["runs"] == 2
    assert found["turns"][0]["link"] == f"/ui/run?run_id={ids('twice-1')[0]}"
    assert served.client.session("sess-twice") == found
    assert "no run names the session 'nobody'" in served.refused("/api/v1/sessions/nobody", 404)["detail"]
    assert served.refused("/api/v1/sessions/sess-refund", 404, tenant="globex")


def test_the_command_lists_sessions_and_tells_one(served: Served) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(cli, ["sessions", *arguments], env={"SPANHOUSE_URL": served.url})
        assert ended.exit_code == code, ended.output
        return ended.output

    assert "sess-twice" in run()
    assert "No session matches" in run("--agent", "nobody")
    told = run("sess-twice")
    assert told.index("ask 1") < told.index("ask 2")
    assert "shown whole: leave out --agent" in run("sess-twice", "--agent", "x", code=2)


def test_a_run_may_be_named_like_a_route(served: Served) -> None:
    """The path is taken apart as it was sent: what is encoded in it is part of the id."""
    assert served.refused("/api/v1/runs/a%2Fsteps", 404)["detail"].startswith("no run has the id 'a/steps'")
    assert served.refused("/api/v1/runs/a%2Fspans/steps", 404)["detail"].startswith("no run has the id 'a/spans'")
    assert served.refused("/api/v1/runs/a%2Fspans%2Fb/spans", 404)["detail"].startswith("no run has the id 'a/spans/b'")
    assert served.refused("/api/v1/runs/100%25/spans/%2F", 404)["detail"].startswith("no run has the id '100%'")
    assert served.get(f"/api/v1/runs/{ids('refund')[0]}/steps")["steps"]


def test_a_span_that_goes_on_has_no_end(served: Served) -> None:
    run_id = ids("running")[0]
    [span] = served.get(f"/api/v1/runs/{run_id}/spans")["spans"]
    assert (span["end"], span["ms"]) == (None, None)
    whole = served.get(f"/api/v1/runs/{run_id}/spans/{span['span_id']}")
    assert (whole["end"], whole["ms"]) == (None, None)
    assert served.get("/api/v1/runs", filter="span(ms is null)")["runs"][0]["run_id"] == run_id

"""A guarded run is judged by the policy in force, for the caller it serves; versions and grants stand in the trail."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.agents import Flags, calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.control import Flag
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.policy_file import parse_policy
from spanhouse_runtime.scripted import ScriptedModel

ROLES = "rules: [{name: for clerks, tool: refund, roles: clerk, decision: allow}]"


def refund(order: str) -> str:
    """Refund an order."""
    return f"refunded {order}"


@pytest.mark.parametrize(
    ("roles", "reason"), [(["clerk"], "finish"), (["guest"], "policy_deny:refund"), ([], "policy_deny:refund")]
)
def test_a_rule_for_a_role_speaks_for_callers_who_have_it(sink: OtlpSink, roles: list[str], reason: str) -> None:
    model = ScriptedModel([calls("refund", order="A-1"), says("done")])
    result = Agent("desk", model, [refund], policy=parse_policy(ROLES)).run("refund A-1", roles=roles)
    assert str(result.stop_reason) == reason


def test_the_policys_version_stands_at_the_start_in_every_decision_and_where_it_changes(sink: OtlpSink) -> None:
    first, second = Policy(allow=("look",)), Policy(allow=("look", "read"))
    now = [first]
    with Guard("worker", policy=lambda: now[0]).run("job") as guarded:
        for n in range(3):
            with guarded.tool("look", {"n": n}) as call:
                call.result("seen")
            now[0] = second
    _, events = recorded(sink, guarded.run.run_id)
    assert [event.event_name for event in events][:2] == ["run.start", "config"]
    assert named(events, "config") == [
        {"what": "policy", "fingerprint": first.fingerprint},
        {"what": "policy", "fingerprint": second.fingerprint, "before": first.fingerprint},
    ]
    versions = [event["policy_version"] for event in named(events, "policy.decision")]
    assert versions == [first.fingerprint, second.fingerprint, second.fingerprint]


def test_a_policy_that_cannot_be_had_ends_the_run_before_it_does_anything(sink: OtlpSink) -> None:
    def away() -> Policy:
        msg = "the policy service is away"
        raise OSError(msg)

    guarded = Guard("worker", policy=away).run("job")
    with pytest.raises(OSError, match="is away"):
        guarded.__enter__()
    _, events = recorded(sink, guarded.run.run_id)
    assert named(events, "run.end")[0]["stop_reason"] == "error:OSError"


def grant(**said: object) -> Flag:
    return Flag("9", "grant", "agent", "worker", tool="write_*", by="ann", reason="INC-7", **said)  # type: ignore[arg-type]


def outcome(flag: Flag, policy: Policy, path: str) -> str:
    guard = Guard("worker", policy=policy, control=Control(Flags([flag])))
    with guard.run("job") as guarded, guarded.tool("write_file", {"path": path}) as call:
        call.result("written")
    return str(guarded.stopped or "finish")


LATER = time.time() + 3_600


@pytest.mark.parametrize(
    ("flag", "path", "reason"),
    [
        (grant(expires_at=LATER), "/any", "finish"),
        (grant(expires_at=LATER, resources={"path": ["/data/**"]}), "/data/x", "finish"),
        (grant(expires_at=LATER, resources={"path": ["/data/**"]}), "/data/../etc", "policy_deny:write_file"),
        (grant(expires_at=None), "/any", "policy_deny:write_file"),
        (grant(expires_at=LATER, resources={"path": ["/a**"]}), "/abc", "policy_deny:write_file"),
    ],
)
def test_an_operators_grant_lets_through_what_it_names_and_no_more(
    sink: OtlpSink, flag: Flag, path: str, reason: str, recwarn: pytest.WarningsRecorder
) -> None:
    assert outcome(flag, Policy(), path) == reason


def test_a_grant_is_named_with_who_gave_it_and_ends_with_its_flag(sink: OtlpSink) -> None:
    view = Flags([grant(expires_at=LATER)])
    with Guard("worker", policy=Policy(), control=Control(view)).run("job") as guarded:
        with guarded.tool("write_file", {"n": 1}) as call:
            call.result("written")
        view.flags.clear()
        with guarded.tool("write_file", {"n": 2}):
            pytest.fail("the grant is over")
    _, events = recorded(sink, guarded.run.run_id)
    granted, denied = named(events, "policy.decision")
    until = datetime.fromtimestamp(LATER, UTC)
    assert (granted["rule"], granted["reason"]) == ("grant:flag 9", f"granted by ann until {until.isoformat()}: INC-7")
    assert denied["rule"] == "default"
    assert guarded.stopped is not None
    assert guarded.stopped.code is StopCode.POLICY_DENY
    assert until - datetime.now(UTC) < timedelta(hours=2)


def test_no_grant_lifts_a_denial_that_a_rule_says(sink: OtlpSink) -> None:
    policy = parse_policy("rules: [{name: never, tool: write_file, decision: deny}]")
    assert outcome(grant(expires_at=LATER), policy, "/data") == "policy_deny:write_file"

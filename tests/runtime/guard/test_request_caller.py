"""A guarded run inside a request has the roles and keeps to the budget of who was authenticated."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.errors import ConfigurationError
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy_file import parse_policy

GUARD = Guard(
    "desk",
    policy=parse_policy("rules: [{name: clerks, tool: refund, roles: clerk, decision: allow}]"),
    limits=Limits(max_tool_calls=9),
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    with GUARD.run("job") as guarded, guarded.tool("refund", {"order": "A-1"}) as call:
        call.result("refunded")
    answer = {
        "stop": str(guarded.stopped or "finish"),
        "calls": guarded.limits.max_tool_calls,
        "usd": guarded.limits.max_usd,
    }
    await JSONResponse(answer)(scope, receive, send)


def asked(who: sh.Caller | None) -> dict[str, Any]:
    answer: dict[str, Any] = TestClient(sh.SpanhouseASGI(app, caller=lambda _: who)).get("/").json()
    return answer


def test_the_callers_roles_and_budget_hold_in_the_run(sink: OtlpSink) -> None:
    clerk = sh.Caller(tenant="acme", roles=["clerk"], budget={"max_usd": 0.5, "max_tool_calls": 20})
    assert asked(clerk) == {"stop": "finish", "calls": 9, "usd": 0.5}
    assert asked(sh.Caller(tenant="acme"))["stop"] == "policy_deny:refund"
    assert asked(None)["stop"] == "policy_deny:refund"


def test_a_budget_that_cannot_be_meant_starts_no_run(sink: OtlpSink) -> None:
    with pytest.raises(ConfigurationError, match="max_dollars"):
        asked(sh.Caller(budget={"max_dollars": 1}))

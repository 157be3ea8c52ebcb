"""Approvals on servers of their own: over a restart, and between keys."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.served import serving

from spanhouse import Client, ServerError
from spanhouse.canonical import args_hash

PAY = {"to": "bob", "amount": 500}


def ask(agent: Client, /, **more: Any) -> dict[str, Any]:
    """Put a question about a payment."""
    call = {"run_id": "r1", "tool": "pay", "arguments": PAY, "args_hash": args_hash(PAY)}
    return agent.ask_approval(**{**call, "expires_in": 60, **more})


def test_questions_survive_a_restart_of_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What waits, waits on; what was answered, stays so."""
    data = tmp_path_factory.mktemp("again") / "data"
    with serving(data) as first, Client(first.url, token="") as agent:
        asked, done = ask(agent), ask(agent)
        with first.client as operator:
            operator.answer_approval(done["id"], approved=True, args_hash=done["args_hash"])
    with serving(data) as second, Client(second.url, token="") as agent:
        assert [agent.approval(each["id"])["state"] for each in (asked, done)] == ["waiting", "approved"]
        assert "spanhouse_server_approvals_waiting_items 1.0" in httpx.get(f"{second.url}/metrics").text


def test_keys_ask_see_and_answer_within_their_tenants_and_never_what_they_asked(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Another tenant's key, another key of the same tenant, a key for reading, the key that asked: all are refused."""
    with serving(tmp_path_factory.mktemp("keys") / "data") as served, served.client as operator:

        def key(tenant: str, role: str) -> Client:
            return Client(served.url, token=operator.create_key([tenant], role)["secret"])

        agent, other_agent = key("acme", "ingest"), key("acme", "ingest")
        asked = ask(agent, tenant="acme")
        assert asked["tenant"] == "acme"
        assert ask(agent)["tenant"] == "acme"
        said = {"approved": True, "args_hash": asked["args_hash"]}

        def status(call: Any) -> int | None:
            with pytest.raises(ServerError) as refused:
                call()
            return refused.value.status

        assert status(lambda: ask(agent, tenant="beta")) == 403
        assert status(lambda: agent.answer_approval(asked["id"], **said)) == 403
        assert status(lambda: other_agent.approval(asked["id"])) == 404
        assert status(lambda: other_agent.withdraw_approval(asked["id"])) == 404
        reader, foreign = key("acme", "read"), key("beta", "operate")
        assert status(lambda: reader.answer_approval(asked["id"], **said)) == 403
        assert status(lambda: ask(reader)) == 403
        assert foreign.approvals() == []
        assert status(lambda: foreign.answer_approval(asked["id"], **said)) == 404
        both = key("acme", "operate")
        own = ask(both, tenant="acme")
        assert status(lambda: both.answer_approval(own["id"], approved=True, args_hash=own["args_hash"])) == 403
        assert agent.approval(asked["id"])["state"] == "waiting"
        done = both.answer_approval(asked["id"], **said, by="ann")
        assert done["by"].startswith("ann (key ")

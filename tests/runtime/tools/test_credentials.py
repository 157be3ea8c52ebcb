"""A credential reaches the function that needs it, for its tenant and environment, and nothing that is kept or sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from tests.support import isolated_tools as far
from tests.support.agents import Desk, calls, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.credentials import EnvSecrets, FileSecrets, Secret, SecretMissing, Secrets
from spanhouse_runtime.guard import ApprovalAnswer
from spanhouse_runtime.idempotency_sqlite import SqliteIdempotencyStore
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tool_failure import ToolFailure
from spanhouse_runtime.tools import Tool, tool

CANARY = 'cnry-"7f/3+9d\\ü-0b1c'
"""Written differently by JSON, in URLs and in base64, so that a form that slips through shows."""
FRAGMENTS = ("cnry-", "-0b1c", base64.b64encode(CANARY.encode()).decode()[:12])
"""What every way of writing the canary leaves as it is, and a piece of its base64."""
Token = Annotated[str, Secret("crm_token")]


class Fixed:
    """Knows one credential, and remembers whom it was for."""

    def __init__(self, value: str = CANARY) -> None:
        self.value = value
        self.asked: list[tuple[str, str, str]] = []

    def resolve(self, name: str, *, tenant: str, environment: str) -> str:
        """Return it."""
        self.asked.append((name, tenant, environment))
        return self.value


def echoes(order: str, token: Token) -> dict[str, str]:
    """Look an order up."""
    return {"order": order, "sent": f"Authorization {token}", "url": f"https://x/?k={quote(token, safe='')}"}


def raises(token: Token) -> None:
    """Fail with the credential in the message."""
    msg = f"401 for {token}"
    raise ConnectionError(msg)


def says_nothing_was_done(token: Token) -> None:
    """Fail with the credential in the hint."""
    msg = f"refused {token}"
    raise ToolFailure(msg, hint=f"renew {token}") from ConnectionError(token)


def shows(token: Token) -> object:
    """Answer with the credential in JSON in JSON, and in what has no JSON form."""
    return {"text": json.dumps({"token": token, "list": [token]}), "object": {token}, "bytes": repr(token)}


def encodes(token: Token) -> str:
    """Answer with the credential in base64."""
    return base64.b64encode(token.encode()).decode()


def wraps(token: Annotated[SecretStr, Secret("crm_token")]) -> str:
    """Answer with the credential out of its wrapper."""
    return f"{token} {token.get_secret_value()}"


def updates(plan: str, token: Token) -> str:
    """Change something."""
    return f"{plan} {token}"


def takes_back(arguments: dict[str, Any], result: str, token: Token) -> str:
    """Take it back."""
    return f"undone {arguments} {result} {token}"


TOOLS: list[tuple[Tool, dict[str, Any]]] = [
    (tool(echoes), {"order": "A"}),
    (tool(echoes, name="unscanned", scan="pass"), {"order": "A"}),
    (tool(echoes, name="cached", action="read", cache_seconds=60), {"order": "A"}),
    (tool(echoes, name="once_only", once=True), {"order": "A"}),
    (tool(echoes, name="declared", output=dict[str, int]), {"order": "A"}),
    (tool(raises), {}),
    (tool(raises, name="again", action="read", retries=2), {}),
    (tool(says_nothing_was_done), {}),
    (tool(shows), {}),
    (tool(shows, name="shows_all", scan="pass"), {}),
    (tool(encodes), {}),
    (tool(wraps), {}),
    (tool(updates, action="update", undo=takes_back), {"plan": "pro"}),
    (tool(updates, name="asked", action="money"), {"plan": "pro"}),
    (tool(far.keyed, isolate=True), {}),
]


@pytest.mark.parametrize(("made", "arguments"), TOOLS, ids=lambda value: getattr(value, "name", ""))
def test_a_credential_is_in_no_prompt_span_event_answer_cache_or_store(
    sink: OtlpSink, tmp_path: Path, made: Tool, arguments: dict[str, Any]
) -> None:
    model = ScriptedModel([calls(made.name, **arguments), calls(made.name, **arguments), says("done")])
    desk = Desk(ApprovalAnswer(approved=True, by="maria"))
    store = SqliteIdempotencyStore(tmp_path / "calls.sqlite")
    agent = Agent("clerk", model, [made], secrets=Fixed(), approver=desk, idempotency=store)
    result = agent.run("Go", tenant="acme", environment="prod")
    if agent.reviews:
        assert "[REDACTED:credential]" in agent.undo(agent.reviews[-1].review_id, by="maria")
    recorded(sink, result.run_id)
    kept = [
        repr(result),
        repr(model.requests),
        repr(agent.setup.cache.get("acme", "prod", made.name, arguments)),
        repr(agent.reviews),
        repr(desk.asked),
        repr([(span.name, span.attributes, span.status) for span in sink.spans]),
        repr([(log.event_name, log.attributes, log.data) for log in sink.audit]),
        *(path.read_bytes().decode("utf-8", "replace") for path in tmp_path.iterdir()),
    ]
    assert any("clerk" in text for text in kept)
    for fragment in FRAGMENTS:
        assert not [text for text in kept if fragment in text]


def test_the_function_gets_the_credential_and_the_model_does_not_know_of_it() -> None:
    got: list[str] = []

    def fetch(order: str, token: Token) -> str:
        got.append(token)
        return order

    secrets, model = Fixed(), ScriptedModel([calls("fetch", order="A"), says("done")])
    agent = Agent("clerk", model, [fetch], secrets=secrets)
    agent.run("Go", tenant="acme", environment="prod")
    assert (got, secrets.asked) == ([CANARY], [("crm_token", "acme", "prod")])
    assert list(agent.setup.toolbox.definitions[0].parameters["properties"]) == ["order"]


def test_a_model_cannot_give_the_credential_itself() -> None:
    model = ScriptedModel([calls("echoes", order="A", token="mine"), says("done")])
    result = Agent("clerk", model, [echoes], secrets=Fixed()).run("Go")
    assert result.tools["echoes"].failed == 1
    assert "token: Unexpected keyword argument" in model.requests[-1].messages[-1].content


def test_a_credential_that_is_not_there_fails_the_call_and_names_what_to_set() -> None:
    model = ScriptedModel([calls("echoes", order="A"), says("done")])
    Agent("clerk", model, [echoes], secrets=EnvSecrets({})).run("Go", tenant="acme", environment="prod")
    told = json.loads(model.requests[-1].messages[-1].content)["error"]
    assert told["type"] == "auth"
    assert told["message"].endswith("set the variable ACME__PROD__CRM_TOKEN")


def test_a_tool_that_needs_credentials_is_refused_by_an_agent_that_has_none() -> None:
    with pytest.raises(ConfigurationError, match=r"'echoes' needs credentials \(crm_token\): Agent\(secrets="):
        Agent("clerk", ScriptedModel([]), [echoes])


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Secrets]:
    """The same credentials from variables and from files."""
    for tenant, value in (("acme", "of-acme"), ("acme-eu", "of-acme-eu")):
        folder = tmp_path / tenant / "prod"
        folder.mkdir(parents=True)
        (folder / "crm_token").write_text(f"{value}\n")
    (tmp_path / "acme" / "prod" / "short").write_text("abc")
    variables = {"ACME__PROD__CRM_TOKEN": "of-acme", "ACME_EU__PROD__CRM_TOKEN": "of-acme-eu"}
    return {"env": EnvSecrets({**variables, "ACME__PROD__SHORT": "abc"}), "file": FileSecrets(tmp_path)}


@pytest.mark.parametrize("kind", ["env", "file"])
def test_each_tenant_and_environment_has_its_own(sources: dict[str, Secrets], kind: str) -> None:
    secrets = sources[kind]
    assert secrets.resolve("crm_token", tenant="acme", environment="prod") == "of-acme"
    assert secrets.resolve("crm_token", tenant="acme-eu", environment="prod") == "of-acme-eu"
    for tenant, environment, name in (
        ("acme", "test", "crm_token"),
        ("globex", "prod", "crm_token"),
        ("acme", "prod", "other"),
        ("acme", "prod", "short"),
    ):
        with pytest.raises(SecretMissing, match=r"set the|replace the"):
            secrets.resolve(name, tenant=tenant, environment=environment)


@pytest.mark.parametrize("kind", ["env", "file"])
@pytest.mark.parametrize("odd", ["..", "a/b", "a__b", "", "Acme\n", "a\0b"], ids=repr)
def test_no_name_leads_to_what_is_anothers(sources: dict[str, Secrets], kind: str, odd: str) -> None:
    with pytest.raises(SecretMissing):
        sources[kind].resolve("crm_token", tenant=odd, environment="prod")
    with pytest.raises(SecretMissing):
        sources[kind].resolve(f"{odd}/../crm_token", tenant="acme", environment="prod")

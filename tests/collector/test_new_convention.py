"""A further convention is one piece of data: nothing else of the collector has to know of it."""

from __future__ import annotations

import pytest
from tests.support.mapping import adopt
from tests.support.otlp_bodies import row

from spanhouse_collector.conventions import CONVENTIONS
from spanhouse_collector.conventions.convention import LLM, TOOL, Convention, Source, by_value
from spanhouse_collector.conventions.readers import count, name, text

ACME = Convention(
    name="acme",
    scopes=("acme.sdk*",),
    keys=("acme.*",),
    classes=(by_value(8, "acme.kind", {"model": LLM, "tool": TOOL}),),
    sources=(
        Source("request_model", ("acme.model",), name),
        Source("input_tokens", ("acme.tokens.in",), count),
        Source("output_tokens", ("acme.tokens.out",), count),
        Source("tool_name", ("acme.tool",), name),
        Source("tool_arguments", ("acme.arguments",), text),
        Source("session_id", ("acme.conversation",), name),
    ),
)
CALL = {"acme.kind": "model", "acme.model": "acme-1", "acme.tokens.in": 12, "acme.tokens.out": "3"}
USED = {"acme.kind": "tool", "acme.tool": "search", "acme.arguments": '{"q": 1}', "acme.conversation": "c-1"}


def test_what_nobody_knows_is_kept_and_read_as_nothing() -> None:
    found = row(CALL, scope="acme.sdk.python")
    assert (found["convention"], found["span_class"], found["input_tokens"]) == ("", "other", None)
    assert dict(found["attributes"])["acme.model"] == "acme-1"


@pytest.mark.parametrize("scope", ["acme.sdk.python", "my.app"], ids=["by its scope", "by its keys"])
def test_a_convention_that_is_added_is_read_whole(monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    adopt(monkeypatch, [*CONVENTIONS, ACME])
    call, used = row(CALL, scope=scope), row(USED, scope=scope)
    assert (call["convention"], call["span_class"], call["request_model"]) == ("acme", "llm", "acme-1")
    assert (call["input_tokens"], call["output_tokens"]) == (12, 3)
    assert (used["span_class"], used["tool_name"], used["session_id"]) == ("tool", "search", "c-1")
    assert used["input"] == '{"q": 1}'
    assert used["args_hash"]


def test_a_convention_that_is_added_changes_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 7}
    before = row(other)
    adopt(monkeypatch, [*CONVENTIONS, ACME])
    assert row(other) == before


def test_beside_another_the_first_in_the_list_wins_column_by_column(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {**CALL, "gen_ai.request.model": "general", "gen_ai.usage.input_tokens": 99}
    adopt(monkeypatch, [*CONVENTIONS, ACME])
    assert (row(both)["request_model"], row(both)["input_tokens"]) == ("general", 99)
    adopt(monkeypatch, [ACME, *CONVENTIONS])
    assert (row(both)["request_model"], row(both)["input_tokens"]) == ("acme-1", 12)

"""What model calls cost by the bundled list."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

import genai_prices
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support.otlp_bodies import START_NS, row

from spanhouse_collector.prices import PRICE_VERSION, Prices

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-4o-mini"}
MODELS = [
    ("openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4.1"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"),
    ("deepseek", "deepseek-chat"),
    ("x-ai", "grok-4"),
    ("mistral", "mistral-large-latest"),
]
TOKENS = st.integers(0, 500_000)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODELS), TOKENS, TOKENS, TOKENS, TOKENS)
def test_costs_are_the_lists(model: tuple[str, str], fresh: int, output: int, read: int, written: int) -> None:
    """The short way by multiplication and the list's own calculation agree, tiers and cached tokens included."""
    provider, name = model
    usage = genai_prices.Usage(
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read or None,
        cache_write_tokens=written or None,
    )
    when = datetime.fromtimestamp(START_NS / 1e9, UTC)
    listed = genai_prices.calc_price(usage, name, provider_id=provider, genai_request_timestamp=when)
    found = Prices().cost(
        provider,
        name,
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        start_ns=START_NS,
    )
    assert found == pytest.approx(float(listed.total_price))


def test_an_unknown_model_has_no_price() -> None:
    """Unknown is not free: the cost stays open."""
    assert Prices().cost("", "no-such-model", input_tokens=1, output_tokens=1) is None
    only = row({**CHAT, "gen_ai.response.model": "no-such-model", "gen_ai.usage.input_tokens": 5})
    assert (only["cost_usd"], only["cost_source"], only["price_version"]) == (None, "", "")


def test_a_framework_in_the_providers_place_hides_no_price() -> None:
    """A provider the list does not know leaves the choice to the model's name."""
    direct = Prices().cost("openai", "gpt-4o-mini", input_tokens=100, output_tokens=10)
    assert direct is not None
    assert Prices().cost("my-gateway", "gpt-4o-mini", input_tokens=100, output_tokens=10) == direct


def test_a_reported_cost_wins_over_a_computed_one() -> None:
    """The column says which of the two it is, and by which list it was computed."""
    computed = row({**CHAT, "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0})
    assert computed["cost_usd"] == pytest.approx(0.15)
    assert (computed["cost_source"], computed["price_version"]) == ("computed", PRICE_VERSION)
    reported = row({**CHAT, "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.cost": "0.5"})
    assert (reported["cost_usd"], reported["cost_source"], reported["price_version"]) == (0.5, "reported", "")


def test_a_call_without_usage_costs_nothing_known() -> None:
    """No tokens said: no cost, not zero."""
    assert row(CHAT)["cost_usd"] is None


def test_agents_that_repeat_their_childrens_tokens_are_not_priced() -> None:
    """Only model and embedding spans cost, or a run would cost twice."""
    agent: dict[str, Any] = {**CHAT, "gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 100}
    assert row(agent)["cost_usd"] is None


def test_pricing_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list comes with the package; nothing asks the network for a newer one."""

    def refuse(*_: object, **__: object) -> None:
        msg = "a connection was opened"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Prices().cost("anthropic", "claude-sonnet-4-5", input_tokens=300_000, output_tokens=10) is not None


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_no_count_of_tokens_breaks_pricing(tokens: int, cached: int, start_ns: int) -> None:
    """Contradicting or absurd counts give a cost or none, never an exception."""
    assume(tokens or cached)
    for provider, model in MODELS[:4]:
        found = Prices().cost(
            provider, model, input_tokens=tokens, output_tokens=tokens, cache_read_tokens=cached, start_ns=start_ns
        )
        assert found is None or found >= 0

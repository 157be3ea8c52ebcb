"""Prices from a list: never below what the list says, unknown where it does not say, and named on the span."""

from __future__ import annotations

import sys
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agents import recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.model import Usage
from spanhouse_runtime.money import NANO_PER_USD, Price, Prices
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.scripted import ScriptedModel

LISTED = Prices.from_genai()
VERSION = f"genai-prices-{genai_prices.__version__}"


@given(st.integers(0, 400_000), st.integers(0, 50_000), st.integers(0, 400_000))
def test_a_listed_models_cost_is_the_lists_rounded_up(sent: int, written: int, cached: int) -> None:
    priced = LISTED.of("gpt-4o-mini", "openai")
    assert priced is not None
    cached = min(cached, sent)
    usage = genai_prices.Usage(input_tokens=sent, output_tokens=written, cache_read_tokens=cached or None)
    listed = genai_prices.calc_price(usage, "gpt-4o-mini", provider_id="openai").total_price
    assert 0 <= priced.cost(sent, written, cached) - Decimal(listed) * NANO_PER_USD < 1


def test_a_model_the_list_does_not_have_has_no_price_and_own_prices_come_first() -> None:
    assert LISTED.of("nobody-1") is None
    own = Prices.from_genai({"gpt-4o-mini": Price(1, 1)})
    assert own.of("gpt-4o-mini", "openai") == Price(1, 1)
    assert (own.version_of("gpt-4o-mini"), own.version_of("gpt-4o")) == ("", VERSION)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    with pytest.raises(ConfigurationError, match="pip install genai-prices"):
        Prices.from_genai()


def test_the_version_of_the_list_is_kept_on_the_span_with_the_cost_it_gave(sink: OtlpSink) -> None:
    model = ScriptedModel([says("done", usage=Usage(1_000, 100))], name="gpt-4o-mini", provider="openai")
    result = Agent("desk", model, price=LISTED, limits=Limits(max_usd=1)).run("ask")
    assert str(result.stop_reason) == "finish"
    spans, _ = recorded(sink, result.run_id)
    (chat,) = [span for span in spans if span.name.startswith("chat")]
    assert chat.attributes["spanhouse.price_version"] == VERSION
    assert chat.attributes["spanhouse.cost_usd"] == result.cost_usd == 0.00021


def test_a_guarded_model_call_is_priced_too_and_what_the_provider_says_stands(sink: OtlpSink) -> None:
    with Guard("desk", policy=Policy(), prices=LISTED).run("job") as guarded:
        for said in ({}, {"cost_usd": 0.5}):
            with guarded.model("gpt-4o-mini", provider="openai") as call:
                call.response(output="x", input_tokens=1_000, output_tokens=100, **said)
    spans, _ = recorded(sink, guarded.run.run_id)
    found = [(s.attributes["spanhouse.cost_usd"], s.attributes.get("spanhouse.price_version")) for s in spans[1:]]
    assert found == [(0.00021, VERSION), (0.5, None)]


def test_where_dollars_are_limited_a_model_without_a_price_is_refused(sink: OtlpSink) -> None:
    model = ScriptedModel([says("done")], name="nobody-1")
    result = Agent("desk", model, price=LISTED, limits=Limits(max_usd=1)).run("ask")
    assert str(result.stop_reason) == "max_usd:unknown_price"

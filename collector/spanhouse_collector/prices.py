"""What a model call costs by the bundled price list; nothing here reaches the network.

Looking a model up takes milliseconds and pricing one call through the list 60 to 100 µs, so models are remembered, and
a model with prices a token, tiered by input or not, is reckoned here by multiplication. Price changes by date and
anything else goes through the list's own calculation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeAlias

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices

PRICE_VERSION: Final = f"genai-prices-{genai_prices.__version__}"
"""Name and version of the price list, as the ``price_version`` column says it."""

_TOKEN_PRICES: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
# Prices of things a span does not count: they add nothing to a call that reports tokens alone.
_UNCOUNTED: Final = frozenset(
    {
        "cache_write_1h_mtok",
        "web_searches_kcount",
        "storage_searches_kcount",
        "input_audio_mtok",
        "output_audio_mtok",
        "cache_audio_read_mtok",
        "input_image_mtok",
        "output_image_mtok",
        "cache_image_read_mtok",
        "input_video_mtok",
        "output_video_mtok",
    }
)
_MILLION: Final = 1_000_000
_MAX_REMEMBERED: Final = 4096

# Providers whose names in telemetry the list does not know as they are.
_PROVIDERS: Final = {
    "azure.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars a token, of a call with more input tokens than ``above``, for all its tokens."""

    above: int
    input: float
    output: float
    cache_read: float
    cache_write: float


_Priced: TypeAlias = "list[_Rates] | tuple[Any, Any] | None"
"""Rates from the highest tier down, else provider and model as the list has them, else unknown."""


class Prices:
    """Costs of model calls, with a memory of the models met."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], _Priced] = {}

    def cost(
        self,
        provider: str,
        model: str,
        *,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        start_ns: int = 0,
    ) -> float | None:
        """Return what a call cost in US dollars, None where the list has no price for the model.

        Args:
            provider: provider as the ``provider`` column says it; "" lets the model's name decide.
            model: response or request model.
            input_tokens: all input tokens, those read from and written to the cache included.
            output_tokens: all output tokens, reasoning included.
            cache_read_tokens: part of the input that came from the provider's cache.
            cache_write_tokens: part of the input that was written to it.
            start_ns: when the call was made, nanoseconds since the epoch, for prices that changed.
        """
        key = (provider, model)
        if key not in self._models:
            if len(self._models) >= _MAX_REMEMBERED:
                self._models.clear()
            self._models[key] = _look_up(provider, model)
        priced = self._models[key]
        if priced is None:
            return None
        cached = cache_read_tokens + cache_write_tokens
        asked = max(input_tokens, cached, 0)
        if isinstance(priced, tuple):
            return _by_list(priced, asked, output_tokens, cache_read_tokens, cache_write_tokens, start_ns)
        rates = next(rates for rates in priced if asked > rates.above)
        return (
            (asked - cached) * rates.input
            + cache_read_tokens * rates.cache_read
            + cache_write_tokens * rates.cache_write
            + output_tokens * rates.output
        )


def _look_up(provider: str, model: str) -> _Priced:
    found = _find(_PROVIDERS.get(provider, provider), model) if provider else None
    # A gateway or a framework in the provider's place must not hide the price of a model known by its name.
    found = found or _find(None, model)
    if found is None:
        return None
    prices = found[1].prices
    if isinstance(prices, list):
        return found
    stated = {name: price for name, price in vars(prices).items() if price is not None and name not in _UNCOUNTED}
    if "input_mtok" not in stated or not set(stated) <= set(_TOKEN_PRICES):
        return found
    starts = {tier.start for price in stated.values() if isinstance(price, TieredPrices) for tier in price.tiers}
    return [_rates(stated, above) for above in sorted({*starts, -1}, reverse=True)]


def _rates(stated: dict[str, Any], above: int) -> _Rates:
    input_ = stated["input_mtok"]
    prices = (
        input_,
        stated.get("output_mtok", Decimal(0)),
        stated.get("cache_read_mtok", input_),
        stated.get("cache_write_mtok", input_),
    )
    return _Rates(above, *(float(_in_tier(price, above)) / _MILLION for price in prices))


def _in_tier(price: Decimal | TieredPrices, above: int) -> Decimal:
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= above), price.base)


def _find(provider: str | None, model: str) -> tuple[Any, Any] | None:
    try:
        provider_info, model_info = _bundled().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    return provider_info, model_info


@cache
def _bundled() -> Any:  # noqa: ANN401 - the price list has no published type for it
    return get_snapshot()


def _by_list(
    priced: tuple[Any, Any], input_: int, output: int, cache_read: int, cache_write: int, start_ns: int
) -> float | None:
    provider, model = priced
    usage = genai_prices.Usage(
        input_tokens=input_,
        output_tokens=output,
        cache_read_tokens=cache_read or None,
        cache_write_tokens=cache_write or None,
    )
    when = datetime.fromtimestamp(min(start_ns // 1_000_000_000, _LAST_SECOND), UTC)
    try:
        return float(model.calc_price(usage, provider, genai_request_timestamp=when).total_price)
    except (LookupError, ValueError):
        # The list has the model but cannot price this usage (audio only, contradicting counts).
        return None


_LAST_SECOND: Final = 4_102_444_800

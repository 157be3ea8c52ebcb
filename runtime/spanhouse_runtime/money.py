"""Money in whole nano-dollars, so that sums of many small calls are exact and comparable."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol, Self

from spanhouse.errors import ConfigurationError

NANO_PER_USD = 1_000_000_000
_TOKENS_PER_PRICE = 1_000_000


def nano_usd(usd: float | Decimal) -> int:
    """Return an amount of dollars in nano-dollars, rounded up: 0.01 gives 10,000,000.

    Raises:
        ConfigurationError: the amount is negative, infinite or no number.
    """
    if not math.isfinite(usd) or usd < 0:
        msg = f"an amount of money must be a finite number of dollars, 0 or more, not {usd!r}"
        raise ConfigurationError(msg)
    # str() gives the shortest decimal that means this float: 0.1 stays a tenth and is not rounded up to 100,000,001.
    return int((Decimal(str(usd)) * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def usd(nano: int) -> float:
    """Return nano-dollars as dollars."""
    return nano / NANO_PER_USD


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in dollars per million tokens.

    Attributes:
        input: tokens the model reads.
        output: tokens it writes.
        cached_input: tokens read from the provider's cache; the price of ``input`` where not given.
    """

    input: float
    output: float
    cached_input: float | None = None

    def __post_init__(self) -> None:
        for amount in (self.input, self.output, self.cached_input or 0.0):
            nano_usd(amount)

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Return the nano-dollars for a call; ``cached_tokens`` are a part of ``input_tokens``."""
        cached = min(cached_tokens, input_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        dollars = (
            Decimal(str(self.input)) * (input_tokens - cached)
            + Decimal(str(cached_price)) * cached
            + Decimal(str(self.output)) * output_tokens
        ) / _TOKENS_PER_PRICE
        return nano_usd(dollars)


class Priced(Protocol):
    """Says what a call costs; ``Price`` is one."""

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Return the nano-dollars for a call; ``cached_tokens`` are a part of ``input_tokens``."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A model of the genai-prices list, with its tiers."""

    provider: Any
    model: Any

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Return the nano-dollars for a call."""
        import genai_prices  # noqa: PLC0415 - an extra

        usage = genai_prices.Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=min(cached_tokens, input_tokens) or None,
        )
        return nano_usd(self.model.calc_price(usage, self.provider).total_price)


class Prices:
    """What models cost, by name; ``Guard(prices=Prices.from_genai())``.

    Attributes:
        version: names the list on the spans of calls whose cost is from it; empty for none.

    Args:
        prices: by model name.
        version: of the list.
        listed: a price list to look in for models that are not named.
    """

    def __init__(self, prices: Mapping[str, Price], version: str = "", *, listed: Any = None) -> None:  # noqa: ANN401 - the list has no published type
        self.version = version
        self._prices: dict[tuple[str, str], Priced | None] = {}
        self._own, self._list = dict(prices), listed

    @classmethod
    def from_genai(cls, own: Mapping[str, Price] | None = None) -> Self:
        """Return the prices of the genai-prices package, of some thousand models; ``own`` come before them.

        Nothing is asked over the network: the list is the one the installed package came with.

        Raises:
            ConfigurationError: the package is not installed.
        """
        try:
            from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as missing:
            msg = "the price list is not installed: pip install genai-prices"
            raise ConfigurationError(msg) from missing
        return cls(own or {}, f"genai-prices-{importlib.metadata.version('genai-prices')}", listed=get_snapshot())

    def of(self, model: str, provider: str = "") -> Priced | None:
        """Return what a model costs; None where neither says, and then it is not 0."""
        if model in self._own:
            return self._own[model]
        if self._list is None:
            return None
        if (model, provider) not in self._prices:
            self._prices[model, provider] = self._found(model, provider)
        return self._prices[model, provider]

    def version_of(self, model: str) -> str:
        """Return the list's version for a model priced by it; empty for one that has a price of its own."""
        return "" if model in self._own and self._list is not None else self.version

    def _found(self, model: str, provider: str) -> Priced | None:
        try:
            entry, info = self._list.find_provider_model(model, None, provider or None, None)
            found = _Listed(entry, info)
            found.cost(1_000, 1_000)
        except (LookupError, ValueError):
            # The list does not have the model, or prices it by something other than tokens.
            return None
        return found

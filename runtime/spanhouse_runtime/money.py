"""Money in whole nano-dollars, so that sums of many small calls are exact and comparable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

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

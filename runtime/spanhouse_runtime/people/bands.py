"""How sure an agent has to be to act by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from spanhouse.errors import ConfigurationError


class Band(StrEnum):
    """What an agent does with a decision it is so sure of."""

    ACT = "act"
    REVIEW = "review"
    """Act, and queue the decision for somebody to look at."""
    DRAFT = "draft"
    """Write down what would be done, and ask."""
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Bands:
    """Where the bands begin: above ``act`` it acts, from ``review`` it acts and is reviewed, from ``draft`` it asks.

    Raises:
        ConfigurationError: they are not in order between 0 and 1.
    """

    act: float = 0.9
    review: float = 0.7
    draft: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.draft <= self.review <= self.act <= 1:
            msg = f"bands must be 0 <= draft <= review <= act <= 1, not {self.draft}, {self.review}, {self.act}"
            raise ConfigurationError(msg)

    def of(self, confidence: float) -> Band:
        """Return the band of a confidence; what is no number from 0 to 1 is no confidence, so it escalates."""
        if math.isnan(confidence) or not 0 <= confidence <= 1 or confidence < self.draft:
            return Band.ESCALATE
        if confidence > self.act:
            return Band.ACT
        return Band.REVIEW if confidence >= self.review else Band.DRAFT

"""What of a tenant's runs is kept: the section ``sampling`` of the policy file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if not isinstance(value, str):
        return value
    if not (found := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value.strip())):
        msg = f"{value!r} is no length of time: write a number and ms, s, m or h, for example 30s"
        raise ValueError(msg)
    return float(found[1]) * _UNITS[found[2]]


class KeepRules(BaseModel):
    """Which runs are always kept; what is left out is as in ``default``.

    Attributes:
        errors: a model or tool call failed, or the run ended with an error.
        not_finished: the run stopped for another reason than ``finish``.
        failed: the outcome is failure.
        escalated: the run was handed to a person.
        denied: a policy denied a call.
        looped: a loop, a cycle or a retry storm.
        asked: a span says ``spanhouse.sampling.keep``.
        slower_than: the run took longer, such as ``30s``.
        costlier_than: the run cost more, in usd.
        scored_below: name of a score -> a score of the run that was there by then is lower.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    errors: StrictBool = True
    not_finished: StrictBool = True
    failed: StrictBool = True
    escalated: StrictBool = True
    denied: StrictBool = True
    looped: StrictBool = True
    asked: StrictBool = True
    slower_than: Annotated[float, BeforeValidator(_seconds), Field(gt=0)] | None = None
    costlier_than: Annotated[float, Field(ge=0)] | None = None
    scored_below: dict[Annotated[str, Field(min_length=1, max_length=256)], float] = {}


class SamplingPolicy(BaseModel):
    """How many of the runs that no rule keeps are kept; ``keep`` is merged with ``default`` rule by rule.

    Attributes:
        rate: 0 to 1; without one nothing is sampled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Annotated[float, Field(ge=0, le=1)] | None = None
    keep: KeepRules = KeepRules()


def merged(default: SamplingPolicy, own: SamplingPolicy) -> SamplingPolicy:
    """Return what holds for a tenant: its own rate and rules, else those of the default."""
    said = {name: getattr(own.keep, name) for name in own.keep.model_fields_set}
    rate = own.rate if own.rate is not None else default.rate
    return SamplingPolicy(rate=rate, keep=default.keep.model_copy(update=said))

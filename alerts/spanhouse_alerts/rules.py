"""The rules file as models: ratio and budget rules, receivers, routes and defaults.

A model here holds what one key may hold; what needs two places of the file at once (a receiver a route names, a metric
of the catalogue) is looked at in `spanhouse_alerts.check`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from spanhouse.filters import parse
from spanhouse_alerts.durations import Duration

_NAME = r"^[a-z][a-z0-9_-]{0,63}$"
RESERVED_LABELS = frozenset({"rule", "severity", "window_start"})
"""Labels every alert gets from its rule; a rule may not set them itself."""

BUDGET_ALIASES = {"cost": "spend", "tokens": "tokens_spent"}
"""What people call the two metrics of budgets."""

Name = Annotated[StrictStr, Field(pattern=_NAME)]
Number = StrictFloat


class Severity(StrEnum):
    """How loud an alert is: ``warn`` tells, ``page`` wakes."""

    WARN = "warn"
    PAGE = "page"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Compare(_Model):
    """The line of a ratio rule: exactly one of ``above`` and ``below``, a share between 0 and 1."""

    above: Number | None = Field(default=None, ge=0, le=1)
    below: Number | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            msg = "compare needs exactly one of above and below, such as {above: 0.15}"
            raise ValueError(msg)
        return self

    @property
    def line(self) -> float:
        """The share that must be crossed."""
        return float(self.above if self.above is not None else self.below or 0)


class Rolling(_Model):
    """A window that ends now and reaches back by ``rolling``."""

    rolling: Duration


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError, caught below
        msg = f"time zone {name!r} cannot be used ({error}): write an IANA name such as UTC or Europe/Brussels"
        raise ValueError(msg) from error
    except KeyError as error:
        msg = f"time zone {name!r} is not known: write an IANA name such as UTC or Europe/Brussels"
        raise ValueError(msg) from error
    return name


class Cumulative(_Model):
    """A window that starts at each day, week (Monday) or month of a time zone and grows until the next one."""

    cumulative: Literal["day", "week", "month"]
    tz: Annotated[StrictStr, AfterValidator(_zone)] = "UTC"


class Threshold(_Model):
    """A share of a budget's amount, and the severity of the alert that fires when spend reaches it."""

    severity: Severity
    at: Number = Field(gt=0, le=100)


class Annotations(_Model):
    """Text that goes with every notice of a rule, word for word."""

    description: StrictStr = Field(default="", max_length=1000)
    runbook: StrictStr = Field(default="", max_length=1000)


def _condition(text: str) -> str:
    parse(text)
    return text


Filters = dict[StrictStr, StrictStr | list[StrictStr]]
NoDataPolicy = Literal["keep", "ok"]


class _Rule(_Model):
    id: Name
    filters: Filters = Field(default_factory=dict)
    filter: Annotated[StrictStr, AfterValidator(_condition)] = ""
    labels: dict[Name, StrictStr] = Field(default_factory=dict)
    annotations: Annotations = Annotations()

    @model_validator(mode="after")
    def _labels_are_free(self) -> Self:
        taken = sorted((RESERVED_LABELS | set(self.dimensions)) & set(self.labels))
        if taken:
            msg = f"label {taken[0]!r} is set by the rule itself: choose another name"
            raise ValueError(msg)
        if len(set(self.dimensions)) != len(self.dimensions):
            msg = f"{', '.join(self.dimensions)} names a dimension twice: two alerts would have equal labels"
            raise ValueError(msg)
        return self

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions one alert each is kept for."""
        return ()


class RatioRule(_Rule):
    """A share of runs or calls over a rolling window is beyond a line, with enough samples and certainty."""

    kind: Literal["ratio"]
    metric: StrictStr
    by: tuple[StrictStr, ...] = ()
    window: Rolling
    min_samples: StrictInt = Field(ge=1)
    confidence: StrictFloat | None = Field(default=0.95, gt=0, lt=1)
    compare: Compare
    recover: Number | None = Field(default=None, ge=0, le=1)
    for_: Duration = Field(default=timedelta(0), alias="for")
    keep_firing_for: Duration | None = None
    no_data: NoDataPolicy | None = None
    severity: Severity

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions one alert each is kept for."""
        return self.by

    @property
    def recovery(self) -> float:
        """The share at which a firing alert may end; the line itself where ``recover`` is not given."""
        return self.compare.line if self.recover is None else float(self.recover)

    @model_validator(mode="after")
    def _recovers_on_the_good_side(self) -> Self:
        line, recovery = self.compare.line, self.recovery
        if self.compare.above is not None and recovery > line:
            msg = f"recover {recovery:g} is on the wrong side: for compare above {line:g} it must be {line:g} or less"
            raise ValueError(msg)
        if self.compare.below is not None and recovery < line:
            msg = f"recover {recovery:g} is on the wrong side: for compare below {line:g} it must be {line:g} or more"
            raise ValueError(msg)
        if self.compare.above == 1 or self.compare.below == 0:
            msg = "no share is above 1 or below 0: this rule can never fire"
            raise ValueError(msg)
        return self


def _as_spent(metric: object) -> object:
    return BUDGET_ALIASES.get(metric, metric) if isinstance(metric, str) else metric


class BudgetRule(_Rule):
    """Spend since the start of a day, week or month has reached shares of an amount; fires until the window ends.

    Attributes:
        metric: a metric of the catalogue; ``cost`` and ``tokens`` stand for ``spend`` and ``tokens_spent``, as a budget
            must not wait for runs to end.
    """

    kind: Literal["budget"]
    metric: Annotated[Literal["spend", "tokens_spent", "runs"], BeforeValidator(_as_spent)]
    amount: Number = Field(gt=0)
    per: tuple[StrictStr, ...] = ()
    window: Cumulative
    thresholds: tuple[Threshold, ...] = Field(
        default=(Threshold(severity=Severity.WARN, at=0.8), Threshold(severity=Severity.PAGE, at=1.0)), min_length=1
    )
    settle: Duration = timedelta(minutes=15)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions one alert each is kept for."""
        return self.per

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        at = {threshold.severity: threshold.at for threshold in self.thresholds}
        if len(at) != len(self.thresholds):
            msg = "two thresholds have the same severity: their alerts would have equal labels"
            raise ValueError(msg)
        if Severity.WARN in at and Severity.PAGE in at and at[Severity.WARN] >= at[Severity.PAGE]:
            msg = f"warn at {at[Severity.WARN]:g} must be below page at {at[Severity.PAGE]:g}"
            raise ValueError(msg)
        return self


Rule = Annotated[RatioRule | BudgetRule, Field(discriminator="kind")]


def _secret(text: str) -> str:
    if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", text):
        msg = "a secret must not stand in the file: write env:NAME, the environment variable that holds it"
        raise ValueError(msg)
    return text


class WebhookReceiver(_Model):
    """Where and how a webhook is posted.

    Attributes:
        url: http or https address, or ``env:NAME``.
        hmac_secret: ``env:NAME``; with it every post is signed.
        allow_private: private addresses may be posted to. A loopback address written out in ``url`` always may.
    """

    url: StrictStr = Field(min_length=1)
    hmac_secret: Annotated[StrictStr, AfterValidator(_secret)] | None = None
    allow_private: bool = False

    @model_validator(mode="after")
    def _is_http(self) -> Self:
        if not self.url.startswith(("http://", "https://", "env:")):
            msg = f"url {self.url!r} must start with http://, https:// or env:"
            raise ValueError(msg)
        return self


class Receiver(_Model):
    """One place that is told: a webhook, or any service apprise has a URL for.

    Attributes:
        apprise: an apprise URL, or ``env:NAME``, which keeps its tokens out of the file.
        allow_private: private addresses may be reached by an apprise URL that names a host.
        send_resolved: the end of an alert is told too.
    """

    webhook: WebhookReceiver | None = None
    apprise: StrictStr | None = Field(default=None, min_length=1)
    allow_private: bool = False
    send_resolved: bool = True

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.webhook is None) == (self.apprise is None):
            msg = "a receiver needs exactly one of webhook and apprise"
            raise ValueError(msg)
        if self.webhook is not None and self.allow_private:
            msg = "allow_private of a webhook stands inside webhook: {url: ..., allow_private: true}"
            raise ValueError(msg)
        return self


class Match(_Model):
    """What a route takes: every alert, or those of one severity or rule."""

    severity: Severity | None = None
    rule: Name | None = None


class Route(_Model):
    """Alerts that match go to these receivers; the first matching route alone counts."""

    match: Match = Match()
    to: tuple[StrictStr, ...] = Field(min_length=1)
    repeat: Duration | None = None


class Defaults(_Model):
    """Settings of the evaluation, and what rules take where they say nothing themselves."""

    interval: Duration = timedelta(seconds=5)
    query_offset: Duration = timedelta(0)
    no_data: NoDataPolicy = "keep"
    keep_firing_for: Duration = timedelta(minutes=2)
    forget_after: Duration = timedelta(hours=24)
    max_alerts: StrictInt = Field(default=500, ge=1, le=10_000)
    give_up_after: Duration = timedelta(hours=24)

    @model_validator(mode="after")
    def _ticks(self) -> Self:
        if not timedelta(seconds=1) <= self.interval <= timedelta(hours=1):
            msg = "interval must be between 1s and 1h"
            raise ValueError(msg)
        return self


class RuleSet(_Model):
    """A whole rules file, checked."""

    version: Literal[1]
    defaults: Defaults = Defaults()
    receivers: dict[Name, Receiver] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...]

    def rule(self, rule_id: str) -> RatioRule | BudgetRule | None:
        """Return the rule with this id, or None."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def route(self, rule_id: str, severity: Severity) -> Route:
        """Return the first route that takes an alert; without routes, every receiver is told."""
        for route in self.routes:
            if route.match.severity in (None, severity) and route.match.rule in (None, rule_id):
                return route
        return Route.model_construct(match=Match(), to=() if self.routes else tuple(self.receivers), repeat=None)

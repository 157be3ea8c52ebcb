"""The policy file's form: one block for everybody, and what single tenants want otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, field_serializer, model_validator

from spanhouse.detectors import KINDS as DETECTORS
from spanhouse_collector.policy.sampling import SamplingPolicy, merged
from spanhouse_storage.retention import KINDS, Lives, Retention, shown

MAX_PATTERN: Final = 1_000


class Mode(StrEnum):
    """What becomes of a secret: masked, replaced by a keyed hash, its whole text not stored, or left alone."""

    MASK = "mask"
    HASH = "hash"
    DROP = "drop"
    OFF = "off"


def _spelt_out(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    # YAML reads a bare `off` as false.
    return "off" if value is False else value


AnyMode = Annotated[Mode, BeforeValidator(_spelt_out)]
Action = Annotated[Literal[Mode.MASK, Mode.HASH, Mode.DROP], BeforeValidator(_spelt_out)]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pattern(_Block):
    """A secret of one's own.

    Attributes:
        match: an expression of Rust's ``regex`` syntax, which has no lookaround and no references back, so that every
            text takes linear time.
    """

    match: str = Field(min_length=1, max_length=MAX_PATTERN)
    mode: Action = Mode.MASK

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            empty = pl.Series([""]).str.contains(self.match, strict=True)[0]
        except pl.exceptions.ComputeError as error:
            reason = " ".join(str(error).split())
            msg = f"{self.match!r} is no expression of the linear-time engine (Rust's regex syntax): {reason}"
            raise ValueError(msg) from error
        if empty:
            msg = f"{self.match!r} matches the empty text, so it would match everywhere: ask for one character at least"
            raise ValueError(msg)
        return self


def _life(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if value is None or value == "forever":
        return None
    if (
        not isinstance(value, str)
        or not (found := re.fullmatch(r"(\d{1,5})([dh])", value.strip()))
        or not int(found[1])
    ):
        msg = f"{value!r} is no length of time: write a number and d or h, for example 90d, or forever"
        raise ValueError(msg)
    return timedelta(hours=int(found[1])) if found[2] == "h" else timedelta(days=int(found[1]))


AnyLife = Annotated[timedelta | None, BeforeValidator(_life)]


class RetentionPolicy(_Block):
    """How long rows are kept; a kind that is left out is as in ``default``, and there kept for ever.

    Attributes:
        content: inputs, outputs, messages and previews.
        spans: the spans themselves.
        runs: facts of runs and steps.
        audit: audit events.
    """

    content: AnyLife = None
    spans: AnyLife = None
    logs: AnyLife = None
    metrics: AnyLife = None
    scores: AnyLife = None
    runs: AnyLife = None
    audit: AnyLife = None

    @field_serializer("*")
    def _written(self, life: timedelta | None) -> str:
        return shown(life)


class TenantPolicy(_Block):
    """One block of the file; what it leaves out is as in ``default``.

    Attributes:
        capture_content: whether inputs, outputs, messages, tool arguments and results are stored.
        redact_before_journal: whether secrets are cut out before the request is written to the journal, not only
            before the store.
        detectors: kind of secret -> what becomes of it; ``mask`` for those not named.
        attributes: attribute key, ``*`` for any characters -> what becomes of its value.
        patterns: name -> a secret of one's own; the name is the kind in marks and counts.
        retention: how long rows are kept.
        sampling: how many runs are kept, and which always.
    """

    capture_content: StrictBool | None = None
    redact_before_journal: StrictBool | None = None
    detectors: dict[Literal[DETECTORS], AnyMode] = {}  # type: ignore[valid-type] # one list of kinds, the SDK's
    attributes: dict[Annotated[str, Field(min_length=1, max_length=256)], Action] = {}
    patterns: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")], Pattern] = {}
    retention: RetentionPolicy = RetentionPolicy()
    sampling: SamplingPolicy = SamplingPolicy()

    @model_validator(mode="after")
    def _kinds_are_new(self) -> Self:
        if taken := sorted(set(self.patterns) & set(DETECTORS)):
            msg = f"pattern {taken[0]!r} has the name of a detector: choose another"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds for one tenant, all said; as in `TenantPolicy`."""

    capture_content: bool = True
    redact_before_journal: bool = False
    detectors: dict[str, Mode] = field(default_factory=dict)
    attributes: dict[str, Mode] = field(default_factory=dict)
    patterns: dict[str, Pattern] = field(default_factory=dict)
    sampling: SamplingPolicy = field(default_factory=SamplingPolicy)


class Policy(_Block):
    """The whole file."""

    version: Literal[1] = 1
    default: TenantPolicy = TenantPolicy()
    tenants: dict[Annotated[str, Field(min_length=1, max_length=256)], TenantPolicy] = {}

    @model_validator(mode="after")
    def _lives_hold_together(self) -> Self:
        lives = self.lives()
        for tenant, own in {"default": lives.default, **lives.tenants}.items():
            if why := own.disorder():
                msg = f"retention of {tenant}: {why}"
                raise ValueError(msg)
        return self

    def lives(self) -> Retention:
        """Return how long every tenant's rows are kept; the same value at every call."""
        return _retention(self)

    def of(self, tenant: str) -> Effective:
        """Return what holds for a tenant; one that the file does not name has the default."""
        own = self.tenants.get(tenant)
        return _merged(self, "" if own is None else tenant)

    def effective(self) -> list[Effective]:
        """Return the default and what holds for every tenant named."""
        return [_merged(self, ""), *(_merged(self, tenant) for tenant in self.tenants)]

    def __hash__(self) -> int:
        """Policies are remembered by identity: they never change."""
        return id(self)


@lru_cache(maxsize=4096)
def _merged(policy: Policy, tenant: str) -> Effective:
    default, own = policy.default, policy.tenants.get(tenant, TenantPolicy())
    return Effective(
        capture_content=_first(own.capture_content, default.capture_content, True),
        redact_before_journal=_first(own.redact_before_journal, default.redact_before_journal, False),
        detectors={**default.detectors, **own.detectors},
        attributes={**default.attributes, **own.attributes},
        patterns={**default.patterns, **own.patterns},
        sampling=merged(default.sampling, own.sampling),
    )


@lru_cache(maxsize=16)
def _retention(policy: Policy) -> Retention:
    own = {
        tenant: _lives(policy, block.retention)
        for tenant, block in policy.tenants.items()
        if block.retention.model_fields_set
    }
    return Retention(_lives(policy, RetentionPolicy()), own)


def _lives(policy: Policy, own: RetentionPolicy) -> Lives:
    default = policy.default.retention
    return Lives(**{kind: getattr(own if kind in own.model_fields_set else default, kind) for kind in KINDS})


def _first(*said: bool | None) -> bool:
    return next(value for value in said if value is not None)

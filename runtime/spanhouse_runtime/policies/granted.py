"""Grants that operators give while runs go, as flags of the control plane."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from spanhouse.control import Flag
from spanhouse.notices import warn_once
from spanhouse_runtime.policy import Grant

ACTION: Final = "grant"


def grants_of(flags: Iterable[Flag]) -> tuple[Grant, ...]:
    """Return the grants among flags that are meant for a run.

    One that never ends, or names a resource in a way that cannot be used, grants nothing, and that is said once.
    """
    found: list[Grant] = []
    for flag in flags:
        if flag.action != ACTION:
            continue
        try:
            found.append(
                Grant(
                    name=f"flag {flag.id}",
                    tool=flag.tool,
                    resources={name: tuple(globs) for name, globs in flag.resources.items()},
                    until=None if flag.expires_at is None else datetime.fromtimestamp(flag.expires_at, UTC),  # type: ignore[arg-type]
                    by=flag.by or "an operator",
                    why=flag.reason,
                )
            )
        except ValidationError as problem:
            warn_once(f"grant-{flag.id}", f"flag {flag.id} grants nothing, as it cannot be used: {problem}")
    return tuple(found)

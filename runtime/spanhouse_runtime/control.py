"""What an operator's flag means for a run: the one stop reason, a wait, or nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from spanhouse.control import Flag
from spanhouse.stop_reasons import StopCode, StopReason


class FlagView(Protocol):
    """What is known of the operator's flags, answered from memory; ``spanhouse.ControlPoller`` is one."""

    def meant(
        self, run_id: str = "", agent: str = "", tenant: str = "", tools: Collection[str] = (), user: str = ""
    ) -> Sequence[Flag]:
        """Return the flags in force that are meant for any of these, oldest first."""

    def age(self) -> float:
        """Return the seconds since the server was last heard; infinite where it never was."""


@dataclass(frozen=True, slots=True)
class Control:
    """How a run follows an operator's flags.

    Attributes:
        view: what is known of them.
        required: whether the run needs news to go on. Once nothing was heard for ``stale_seconds`` it ends with
            ``disabled:control``, before its next call; until then the last flags hold. False: a server that is away
            stops nobody, and cannot stop anybody either.
        stale_seconds: how old news may get where it is required.
        first_seconds: how long a run's first call waits for the first news, where nothing was heard or kept.
    """

    view: FlagView
    required: bool = True
    stale_seconds: float = 30.0
    first_seconds: float = 5.0

    def stale(self) -> bool:
        """Return whether news is required and too old."""
        return self.required and self.view.age() > self.stale_seconds

    def unheard(self) -> bool:
        """Return whether news is required and there never was any."""
        return self.required and self.view.age() == math.inf


STALE = StopReason(StopCode.DISABLED, "control")
"""The stop reason of a run that needs news of the control server and has none."""


def stop_reason_of(flag: Flag, *, tool: str) -> StopReason | None:
    """Return the reason a flag ends the run with, or None for one that does not end it, such as a pause.

    Args:
        flag: one that is meant for the run.
        tool: the tool about to be called; empty for a model call.
    """
    if flag.action == "stop":
        return StopReason(StopCode.OPERATOR_KILL)
    if flag.action == "disable":
        return StopReason(StopCode.DISABLED, tool if flag.scope == "tool" else flag.target or flag.scope)
    return None

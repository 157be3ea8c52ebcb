"""What an operator's flag means for a run: the one stop reason, a wait, or nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from spanhouse.control import Flag
from spanhouse.stop_reasons import StopCode, StopReason


class FlagView(Protocol):
    """What is known of the operator's flags, answered from memory; ``spanhouse.ControlPoller`` is one."""

    def matching(
        self, run_id: str = "", agent: str = "", tenant: str = "", tools: Collection[str] = (), user: str = ""
    ) -> Flag | None:
        """Return the strongest flag in force that is meant for any of these, or None."""

    def age(self) -> float:
        """Return the seconds since the server was last heard; infinite where it never was."""


@dataclass(frozen=True, slots=True)
class Control:
    """How a run follows an operator's flags.

    Attributes:
        view: what is known of them.
        required: whether the run needs news to go on. False: a server that is away stops nobody. True: once nothing
            was heard for ``stale_seconds`` the run ends with ``disabled:control``, before its next call.
        stale_seconds: how old news may get where it is required.
    """

    view: FlagView
    required: bool = False
    stale_seconds: float = 30.0

    def stale(self) -> bool:
        """Return whether news is required and too old."""
        return self.required and self.view.age() > self.stale_seconds


STALE = StopReason(StopCode.DISABLED, "control")
"""The stop reason of a run that needs news of the control server and has none."""


def stop_reason_of(flag: Flag, *, tool: str) -> StopReason | None:
    """Return the reason a flag ends the run with, or None for one that does not end it (pause, tighten, enable).

    Args:
        flag: one that is meant for the run.
        tool: the tool about to be called; empty for a model call.
    """
    if flag.action == "stop":
        return StopReason(StopCode.OPERATOR_KILL)
    if flag.action == "disable":
        return StopReason(StopCode.DISABLED, tool if flag.scope == "tool" else flag.target or flag.scope)
    return None

"""Whether a server asks for keys."""

from __future__ import annotations

from enum import StrEnum


class Auth(StrEnum):
    """When keys are asked for."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"

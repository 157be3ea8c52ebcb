"""Another set of conventions for one test, as if a file of `conventions` had been added or mended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spanhouse_collector import conventions
from spanhouse_collector.conventions.convention import Convention
from spanhouse_collector.conventions.otel_genai import OTEL_GENAI
from spanhouse_collector.normalise import plan


def adopt(patch: pytest.MonkeyPatch, wanted: Sequence[Convention]) -> None:
    """Make these the conventions, in this order, of every normaliser made from now on."""
    general = OTEL_GENAI.name
    by_keys = sorted(wanted, key=lambda each: each.name == general)
    patch.setattr(conventions, "CONVENTIONS", tuple(wanted))
    patch.setattr(conventions, "_BY_KEYS", tuple(by_keys))
    patch.setattr(plan, "CONVENTIONS", tuple(wanted))

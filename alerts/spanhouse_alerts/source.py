"""Rule files as text: what reads them, under the names of this package."""

from __future__ import annotations

from spanhouse.lined_yaml import MAX_BYTES, Problem, Source, read
from spanhouse.lined_yaml import SourceError as RulesError

__all__ = ["MAX_BYTES", "Problem", "RulesError", "Source", "read"]

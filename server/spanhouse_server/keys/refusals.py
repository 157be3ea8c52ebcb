"""Who was turned away, counted by why; never what they showed."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter


class Why(StrEnum):
    """Why somebody was turned away."""

    NO_KEY = "no key"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ROLE = "role"
    TENANT = "tenant"
    RATE = "rate"
    UNAVAILABLE = "unavailable"


class Door(StrEnum):
    """Where they asked."""

    OTLP = "otlp"
    API = "api"
    PAGES = "pages"


class Refusals:
    """Counts, as a metric of a registry. Calls are safe from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "spanhouse_server_refused_callers",
            "Requests turned away for what their sender showed or may, by door and reason.",
            ("door", "reason"),
            registry=registry,
        )
        for door in Door:
            for why in Why:
                self._counter.labels(door.value, why.value)

    def count(self, door: Door, why: Why) -> None:
        """Count one request."""
        self._counter.labels(door.value, why.value).inc()

    def totals(self) -> dict[str, int]:
        """Return how many were turned away since the start, by reason, those that never happened left out."""
        found: dict[str, int] = {}
        for family in self._counter.collect():
            for sample in family.samples:
                if sample.name.endswith("_total") and sample.value:
                    why = sample.labels["reason"]
                    found[why] = found.get(why, 0) + int(sample.value)
        return found

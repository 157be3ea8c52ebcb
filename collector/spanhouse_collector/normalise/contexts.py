"""What all spans under one resource and scope share, read once for each pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from spanhouse import attributes as own
from spanhouse_collector import wire
from spanhouse_collector.normalise.attributes import Attributes, Entry
from spanhouse_collector.tenancy import ENVIRONMENT_KEYS

RESOURCE_SCHEMA: Final = "otel.resource.schema_url"
SCOPE_SCHEMA: Final = "otel.scope.schema_url"
"""Keys under which the schema urls stand among the attributes of resource and scope; the scope's goes before."""

_MAX_CONTEXTS: Final = 5_000
_LONG: Final = 20_000


@dataclass(frozen=True, slots=True)
class Context:
    """A resource, a scope and the tenant that applies where a record names none."""

    tenant: str
    environment: str
    service_name: str
    service_version: str
    scope_name: str
    scope_version: str
    resource: list[tuple[str, str]]
    scope: list[tuple[str, str]]


class Contexts:
    """Reads resource and scope messages, with a bounded memory of the pairs met."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes
        self._memo: dict[tuple[bytes, bytes, str, tuple[bytes, bytes]], Context] = {}

    def of(
        self,
        resource: Any,  # noqa: ANN401 - a wire message
        scope: Any,  # noqa: ANN401 - a wire message
        tenant: str,
        schema_urls: tuple[bytes, bytes] = (b"", b""),
    ) -> Context:
        """Return the context of the records under a resource and a scope, whose schema urls stand beside them."""
        key = (
            resource.SerializeToString(deterministic=True),
            scope.SerializeToString(deterministic=True),
            tenant,
            schema_urls,
        )
        found = self._memo.get(key)
        if found is None:
            found = self._read(resource, scope, tenant, schema_urls)
            if len(key[0]) + len(key[1]) + sum(map(len, schema_urls)) <= _LONG:
                if len(self._memo) >= _MAX_CONTEXTS:
                    self._memo.clear()
                self._memo[key] = found
        return found

    def _read(self, resource: Any, scope: Any, tenant: str, schema_urls: tuple[bytes, bytes]) -> Context:  # noqa: ANN401
        resource_url, scope_url = schema_urls
        entries = self._attributes.entries(resource.attributes)
        return Context(
            tenant=_first(entries, own.TENANT) or tenant,
            environment=_first(entries, *ENVIRONMENT_KEYS),
            service_name=_first(entries, own.SERVICE_NAME),
            service_version=_first(entries, own.SERVICE_VERSION),
            scope_name=wire.text(scope.name),
            scope_version=wire.text(scope.version),
            resource=[*((key, text) for key, _, text in entries), *_schema(RESOURCE_SCHEMA, resource_url)],
            scope=[
                *((key, text) for key, _, text in self._attributes.entries(scope.attributes)),
                *_schema(SCOPE_SCHEMA, scope_url),
            ],
        )


def _schema(key: str, url: bytes) -> list[tuple[str, str]]:
    return [(key, wire.text(url))] if url else []


def _first(entries: list[Entry], *keys: str) -> str:
    for key in keys:
        for found, value, text in entries:
            if found == key and value is not None and text:
                return text
    return ""

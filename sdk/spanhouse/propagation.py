"""How a call to another process takes its run along: W3C trace context, and baggage for who asked for it.

What goes over HTTP goes over MCP too: the keys are the same in a request's headers and in its ``_meta``.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from spanhouse import attributes as keys
from spanhouse.context import current_run, leave

_REMOTE: Final = otel_context.create_key("spanhouse-remote-run")
_FIELDS: Final = {
    keys.RUN_ID: "run_id",
    keys.REQUEST_ID: "request_id",
    keys.TENANT: "tenant",
    keys.ENVIRONMENT: "environment",
    keys.SESSION_ID: "session_id",
    keys.USER_ID: "user_id",
}
_RUN_ID_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """Whom what runs here is for: the run in another process that called, or who sent the request; None: not known."""

    run_id: str | None = None
    request_id: str | None = None
    tenant: str | None = None
    environment: str | None = None
    session_id: str | None = None
    user_id: str | None = None


class Joined:
    """A caller's trace and run as the current ones, while the ``with`` block lasts; made by ``spanhouse.extract``."""

    def __init__(self, carrier: Mapping[str, Any], *, trusted: bool) -> None:
        self._context = context_of(carrier, trusted=trusted)

    def __enter__(self) -> Self:
        self._token: Token[Context] = otel_context.attach(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave(self._token)


def inject(carrier: MutableMapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the carrier with what takes the current run along: ``traceparent``, ``tracestate`` and ``baggage``.

    Args:
        carrier: the headers of an HTTP request, or the ``_meta`` of one over MCP; a new dict where it is None. Baggage
            tells the receiver the run's, the request's, the session's and the user's id, tenant and environment: send
            it to those alone who may know them.
    """
    found: MutableMapping[str, Any] = {} if carrier is None else carrier
    TraceContextTextMapPropagator().inject(found)
    context: Context | None = None
    run = current_run()
    if run is not None:
        for key, name in _FIELDS.items():
            value = getattr(run, name)
            if value:
                context = baggage.set_baggage(key, value, context)
    W3CBaggagePropagator().inject(found, context)
    return cast("dict[str, Any]", found)


def extract(carrier: Mapping[str, Any], *, trusted: bool = False) -> Joined:
    """Return a block in which runs and spans join the caller's trace.

    Args:
        carrier: the headers of an HTTP request, names in any case, or the ``_meta`` of one over MCP.
        trusted: whether the caller is one of your own. Then a run inside is a sub-agent of the caller's run, with its
            request id, tenant, environment, session and user where it names none itself; its audit events have numbers
            of their own. Of any other caller the trace alone is joined: who may set a header must not choose a tenant.
    """
    return Joined(carrier, trusted=trusted)


def remote_run(context: Context | None = None) -> RemoteRun | None:
    """Return the caller whom the calling code serves: a trusted one's run, or who sent the request; None without."""
    found = otel_context.get_value(_REMOTE, context)
    return found if isinstance(found, RemoteRun) else None


def with_caller(caller: RemoteRun, context: Context | None = None) -> Context:
    """Return a context in which runs belong to this caller."""
    return otel_context.set_value(_REMOTE, caller, context)


def context_of(carrier: Mapping[str, Any], *, trusted: bool) -> Context:
    """Return the context that a caller's headers make; an empty one where they make none."""
    said = {str(key).lower(): value for key, value in carrier.items() if isinstance(value, str)}
    # Neither the run nor the span that this process happens to be in is the caller's.
    context = TraceContextTextMapPropagator().extract(said, Context())
    if not trusted or not trace.get_current_span(context).get_span_context().is_valid:
        return context
    context = W3CBaggagePropagator().extract(said, context)
    told = baggage.get_all(context)
    fields = {name: value for key, name in _FIELDS.items() if isinstance(value := told.get(key), str) and value}
    run_id = fields.get("run_id", "")
    if len(run_id) != _RUN_ID_DIGITS or not run_id.isalnum():
        fields.pop("run_id", None)
    return with_caller(RemoteRun(**fields), context)

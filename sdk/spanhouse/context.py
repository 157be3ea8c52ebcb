"""Which run the calling code belongs to.

The run lives in OpenTelemetry's context, which is a contextvar: asyncio tasks inherit it, and whatever hands a trace
context to another thread hands the run over with it.
"""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

if TYPE_CHECKING:
    from spanhouse.runs import Run

_RUN = otel_context.create_key("spanhouse-run")


def current_run(context: Context | None = None) -> Run | None:
    """Return the innermost run the caller is inside of, or None outside any run."""
    return cast("Run | None", otel_context.get_value(_RUN, context))


def with_run(run: Run, context: Context | None = None) -> Context:
    """Return a context in which ``run`` is the current run."""
    return otel_context.set_value(_RUN, run, context)


def leave(token: Token[Context]) -> None:
    """Make the context current again that was so before ``token``.

    Where a generator ends in another task or thread than it began in, there is nothing to give back: that one's context
    went with it.
    """
    try:
        token.var.reset(token)
    except ValueError:
        return

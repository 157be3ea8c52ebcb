"""What people say of an agent's work, sent to the server as scores."""

from __future__ import annotations

from typing import Any, Literal

from spanhouse.client import Client
from spanhouse.context import current_run
from spanhouse.errors import ConfigurationError


def feedback(  # noqa: D417 - several of a line
    thumbs: Literal["up", "down"] | None = None,
    *,
    run_id: str | None = None,
    request_id: str | None = None,
    span_id: str | None = None,
    correction: str | None = None,
    name: str | None = None,
    value: float | None = None,
    label: str | None = None,
    comment: str | None = None,
    by: str | None = None,
    tenant: str | None = None,
    client: Client | None = None,
) -> dict[str, Any]:
    """Say how good a run was and return the score as it was taken: ``sh.feedback("up", request_id=rid)``.

    One of ``thumbs``, ``correction``, or a ``value`` or ``label`` under a ``name``. Without an id the current run is
    meant. Thumbs become the score ``user_feedback`` (1 or 0), corrections the score ``correction``.

    Args:
        thumbs: whether it was good.
        run_id, request_id: which run; the id a person has in hand will do.
        span_id: one span of it alone.
        correction: what it should have been.
        name, value, label: a score of one's own.
        comment: why.
        by: who says so.
        tenant: whose run it is, where the server cannot know yet.
        client: whom to tell; by default the server of ``SPANHOUSE_URL`` with the key of ``SPANHOUSE_TOKEN``.

    Raises:
        ConfigurationError: no run is named and none is current.
        ServerError: the server refused it or is away.
    """
    if run_id is None and request_id is None:
        run = current_run()
        if run is None:
            msg = "feedback needs a run: give run_id or request_id, or call it inside `with sh.run(...)`"
            raise ConfigurationError(msg)
        run_id, tenant = run.run_id, tenant or run.tenant
    said: dict[str, Any] = {"thumbs": thumbs, "correction": correction, "name": name, "value": value, "label": label}
    about = {"run_id": run_id, "request_id": request_id, "span_id": span_id, "tenant": tenant}
    return (client or Client()).give_feedback(**about, **said, comment=comment, by=by)

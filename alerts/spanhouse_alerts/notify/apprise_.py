"""Notices through apprise: chat, mail and pager services by their URL."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from spanhouse_alerts.notify.addresses import from_environment, permitted
from spanhouse_alerts.notify.errors import DeliveryError
from spanhouse_alerts.rules import Receiver

TIMEOUT_SECONDS = 15.0
"""Longest time one call may take; apprise itself waits 4 s to connect and 4 s to read."""

MAX_BODY = 3_000

with warnings.catch_warnings():
    # Plugins are loaded here and not at the first alert, when their deprecated imports would warn, or raise where
    # warnings are errors, in a thread.
    warnings.simplefilter("ignore", DeprecationWarning)
    Apprise.instantiate("json://127.0.0.1")


def post(receiver: Receiver, key: str, payload: Mapping[str, Any]) -> None:
    """Send one notice; returns when the service has taken it.

    Raises:
        DeliveryError: the URL is no apprise URL, its host is refused, or the service did not take the notice.
    """
    asset = AppriseAsset(http_redirects=False, async_mode=False)
    service = Apprise.instantiate(from_environment(receiver.apprise or ""), asset=asset)
    if service is None:
        msg = "the receiver's apprise URL is not one apprise knows: see the apprise documentation of the service"
        raise DeliveryError(msg)
    # A redirect=yes inside the URL would switch redirects on again.
    service.redirects = False
    templates: tuple[str, ...] = service.templates or ()
    if any("{host}" in template for template in templates) and service.host:
        permitted(service.host, service.port or 443, allow_private=receiver.allow_private)
    if hasattr(service, "dedup"):
        service.dedup = payload["incident"]
    said: list[str] = []
    caller = Apprise(asset=asset)
    caller.add(service)
    title, body = text(payload, key)
    result = caller.notify(
        title=title,
        body=body,
        notify_type=_type(payload),
        body_format=NotifyFormat.TEXT,
        timeout=TIMEOUT_SECONDS,
        log_callback=lambda entry, _service: said.append(entry.message),
    )
    if not result:
        msg = f"the service did not take the notice: {' '.join(said) or 'it gave no reason'}"
        raise DeliveryError(msg[:500])


def text(payload: Mapping[str, Any], key: str) -> tuple[str, str]:
    """Return a notice as title and body: plain text of at most 3,000 characters that can mention nobody."""
    word = "RESOLVED" if payload["transition"] == "resolved" else str(payload["severity"]).upper()
    lines = [str(payload["summary"]), f"Rule: {payload['rule_text']}"]
    lines += [f"{name}: {value}" for name, value in payload["annotations"].items() if value]
    lines += [f"Run {run['run_id']}: {run['link']}" for run in payload["runs"]]
    lines += [str(payload["link"]), f"Notice {key[:12]}"]
    return plain(f"[{word}] {payload['rule']}"), plain("\n".join(lines))[:MAX_BODY]


def plain(value: str) -> str:
    """Return text without control characters and with what chat services read as a mention defused."""
    kept = "".join(c for c in value if c == "\n" or c.isprintable())
    return kept.replace("<", "(").replace(">", ")").replace("@", "@\u200b")


def _type(payload: Mapping[str, Any]) -> NotifyType:
    if payload["transition"] == "resolved":
        return NotifyType.SUCCESS
    return NotifyType.FAILURE if payload["severity"] == "page" else NotifyType.WARNING

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from spanhouse_alerts.notify import webhook
from spanhouse_alerts.notify.addresses import permitted, refuse
from spanhouse_alerts.notify.errors import DeliveryError
from spanhouse_alerts.rules import WebhookReceiver

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from tests.alerts.conftest import Far

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_a_post_is_json_with_its_key_and_a_signature_that_verifies(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver can tell a repeat by its key, and a forgery by its signature over timestamp and body."""
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    receiver = WebhookReceiver(url=far.url, hmac_secret="env:HOOK_SECRET")
    webhook.post(receiver, "key-1", {"summary": "héé", "value": 0.5}, NOW)
    (got,) = far.received
    assert json.loads(got.body) == {"summary": "héé", "value": 0.5}
    assert got.headers["Idempotency-Key"] == "key-1"
    stamp, signature = got.headers["Spanhouse-Timestamp"], got.headers["Spanhouse-Signature"]
    assert stamp == str(int(NOW.timestamp()))
    assert webhook.verify("s3cret", stamp, got.body, signature)
    assert not webhook.verify("s3cret", stamp, got.body + b" ", signature)
    assert not webhook.verify("s3cret", str(int(stamp) + 1), got.body, signature)
    assert not webhook.verify("other", stamp, got.body, signature)


def test_without_a_secret_nothing_is_signed(far: Far) -> None:
    """No secret, no signature header that would pretend one."""
    webhook.post(WebhookReceiver(url=far.url), "k", {}, NOW)
    assert "Spanhouse-Signature" not in far.received[0].headers


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(far: Far, status: int) -> None:
    """A redirect could lead anywhere, so it is a failure that says what to write instead."""
    far.answers(status, Location=far.url + "/elsewhere")
    with pytest.raises(DeliveryError, match="redirect"):
        webhook.post(WebhookReceiver(url=far.url), "k", {}, NOW)
    assert len(far.received) == 1


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (410, True), (422, True), (401, False), (404, False), (429, False), (500, False)],
)
def test_what_cannot_succeed_later_is_permanent(far: Far, status: int, permanent: bool) -> None:  # noqa: FBT001
    """A refused body is refused again; a wrong token or an outage can be mended."""
    far.answers(status)
    with pytest.raises(DeliveryError, match=str(status)) as failed:
        webhook.post(WebhookReceiver(url=far.url), "k", {}, NOW)
    assert failed.value.permanent is permanent


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("120", 120), ("Fri, 20 Nov 2026 12:01:00 GMT", 60), ("Fri, 20 Nov 2026 11:00:00 GMT", 0), ("soon", None)],
)
def test_a_receivers_wish_to_wait_is_read(far: Far, written: str, seconds: int | None) -> None:
    """Retry-After may be seconds or a date; nonsense counts as not said."""
    far.answers(503, Retry_After=written)
    with pytest.raises(DeliveryError) as failed:
        webhook.post(WebhookReceiver(url=far.url), "k", {}, NOW)
    assert failed.value.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_a_huge_reply_is_left_unread(far: Far) -> None:
    """The status acknowledges; of the body no more than 64 KB is read, however much is sent."""
    written = 0

    def flood(handler: BaseHTTPRequestHandler) -> None:
        nonlocal written
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        try:
            for _ in range(1 << 14):
                written += handler.wfile.write(b"x" * (1 << 16))
        except OSError:
            handler.close_connection = True

    far.answer = flood
    webhook.post(WebhookReceiver(url=far.url), "k", {}, NOW)
    assert written < 1 << 30


def test_a_receiver_that_drips_is_hung_up_on(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that keep coming do not stretch the time-out: it holds for the whole exchange."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"." * 200:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            handler.close_connection = True

    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.2)
    far.answer = drip
    with pytest.raises(DeliveryError, match="did not take the notice"):
        webhook.post(WebhookReceiver(url=far.url), "k", {}, NOW)


def test_nobody_listening_can_be_tried_again(unused_port: int) -> None:
    """A refused connection is a failure for now, and names the receiver."""
    with pytest.raises(DeliveryError, match=rf"127\.0\.0\.1:{unused_port}") as failed:
        webhook.post(WebhookReceiver(url=f"http://127.0.0.1:{unused_port}/"), "k", {}, NOW)
    assert not failed.value.permanent


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://user:pass@127.0.0.1/", "user name or password"),
        ("http:///nohost", "cannot be used"),
        ("http://127.0.0.1:99999/", "cannot be used"),
        ("http://169.254.169.254/latest/meta-data", "never sent to"),
        ("http://10.0.0.1/", "private address"),
        ("http://[::ffff:10.0.0.1]/", "private address"),
        ("http://[64:ff9b::a00:1]/", "private address"),
        ("http://[fe80::1]/", "never sent to"),
        ("http://0.0.0.0/", "never sent to"),
        ("http://192.168.1.1/", "private address"),
        ("http://100.64.0.1/", "private address"),
        ("env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_addresses_inside_are_refused(url: str, why: str) -> None:
    """Private, link-local and disguised addresses are refused before anything is connected."""
    with pytest.raises(DeliveryError, match=why):
        webhook.post(WebhookReceiver(url=url), "k", {}, NOW)


def test_what_a_name_leads_to_is_judged_by_address() -> None:
    """Loopback counts where it is written out, not behind another name; private by permission; metadata never."""
    refuse("localhost", ["127.0.0.1", "::1"], allow_private=False)
    refuse("hook.example", ["10.1.2.3"], allow_private=True)
    refuse("hook.example", ["93.184.215.14"], allow_private=False)
    for addresses, allow in [
        (["127.0.0.1"], False),
        (["93.184.215.14", "10.0.0.1"], False),
        (["169.254.169.254"], True),
        (["::ffff:169.254.169.254"], True),
        (["2002:a9fe:a9fe::"], True),
        (["2002:a00:1::"], False),
    ]:
        with pytest.raises(DeliveryError) as failed:
            refuse("hook.example", addresses, allow_private=allow)
        assert failed.value.permanent


def test_numeric_spellings_of_an_address_are_seen_through() -> None:
    """2130706433 is 127.0.0.1 to the resolver, and it is not loopback written out."""
    with pytest.raises(DeliveryError):
        permitted("2130706433", 80, allow_private=False)


def test_a_secret_that_is_not_set_keeps_the_notice(far: Far) -> None:
    """A missing secret is said by its variable's name, and nothing is sent unsigned."""
    receiver = WebhookReceiver(url=far.url, hmac_secret="env:NOT_SET_ANYWHERE")
    with pytest.raises(DeliveryError, match="NOT_SET_ANYWHERE"):
        webhook.post(receiver, "k", {}, NOW)
    assert far.received == []

"""From the bytes of one request to what the journal takes and what the sender is told: no network, no disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from spanhouse_collector import json_wire, tenancy, wire
from spanhouse_collector.caller import Caller
from spanhouse_collector.check import check, remove
from spanhouse_collector.content import decompress
from spanhouse_collector.records import Signal
from spanhouse_collector.refusals import by_source
from spanhouse_collector.replies import Encoding
from spanhouse_collector.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Intake:
    """A request read.

    Attributes:
        body: protobuf of what can be taken; for the journal where `verdict.accepted` is not 0.
        size: bytes of the request without its Content-Encoding.
        refused: what was refused, by the service that sent it and the reason.
    """

    body: bytes
    verdict: Verdict
    size: int
    refused: Counter[tuple[str, str]]


class UnreadableError(ValueError):
    """The body is no request of this signal; the message says how so."""


def read(signal: Signal, encoding: Encoding, content_encoding: str, body: bytes, limit: int, caller: Caller) -> Intake:
    """Return what a request's body holds, and which of it its caller may send.

    Raises:
        UnreadableError: it cannot be decoded.
        content.ContentError: its Content-Encoding cannot be undone.
        content.TooLargeError: it is larger than the limit.
    """
    plain = decompress(body, content_encoding, limit)
    request = _json(signal, plain) if encoding is Encoding.JSON else _protobuf(signal, plain)
    verdict = tenancy.judge(
        signal, request, caller, check(signal, request), None if encoding is Encoding.JSON else plain
    )
    refused = by_source(signal, request, verdict)
    if verdict.rejections:
        remove(signal, request, verdict)
    changed = tenancy.fill_in(signal, request, caller) or verdict.rejections or encoding is Encoding.JSON
    return Intake(request.SerializeToString() if changed else plain, verdict, len(plain), refused)


def _protobuf(signal: Signal, body: bytes) -> Any:  # noqa: ANN401 - a wire message
    try:
        return wire.parse(signal, body)
    except wire.DecodeError as error:
        msg = f"the body ({len(body)} bytes) is no protobuf export request for {signal}: {error}"
        raise UnreadableError(msg) from error


def _json(signal: Signal, body: bytes) -> Any:  # noqa: ANN401 - a wire message
    try:
        return json_wire.parse(signal, body)
    except json_wire.JsonError as error:
        msg = f"the body is no JSON export request for {signal}: {error}"
        raise UnreadableError(msg) from error

"""Requests as the door lets them in, whoever hands them over."""

from __future__ import annotations

from typing import Any

from spanhouse_collector import wire
from spanhouse_collector.check import check, remove
from spanhouse_collector.records import Signal


def accepted(signal: Signal, body: bytes) -> Any:  # noqa: ANN401 - a wire message
    """Return the request in a body without the records that the collector's check refuses.

    Raises:
        DecodeError: the bytes are no such request.
    """
    request = wire.parse(signal, body)
    verdict = check(signal, request)
    if verdict.rejections:
        remove(signal, request, verdict)
    return request

"""A stream of server-sent events, read as it comes and taken up again where the connection breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, Final

import requests

from spanhouse.errors import ServerError

QUIET_SECONDS: Final = 45.0
"""Time without even a heartbeat after which a connection counts as broken: three heartbeats."""
_AGAIN_SECONDS: Final = 1.0
_TRIES: Final = 5

Open = Callable[[str | None], requests.Response]
"""Asks for the stream, from the event with this id on where one is given."""


def follow(ask: Open, after: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the data of each event, until the server ends the stream.

    Raises:
        ServerError: the server refused, could not be reached again, or broke off time and again.
    """
    broken = 0
    while True:
        try:
            with closing(ask(after)) as answer:
                for event_id, data in events(answer.iter_lines()):
                    after, broken = event_id or after, 0
                    yield data
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            broken += 1
            if broken >= _TRIES:
                msg = f"the stream broke {broken} times without an event: see the server's log ({error})"
                raise ServerError(msg) from error
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def events(lines: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield id (empty where it has none) and data of each event in the lines; its kind is in the data as ``event``."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield fields.get("id", ""), {"event": fields.get("event", ""), **json.loads(fields["data"])}
            fields = {}
            continue
        name, _, value = line.decode().partition(": ")
        fields[name] = value

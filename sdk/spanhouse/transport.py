"""One OTLP/HTTP POST and what its answer means for the batch: taken, try again, or refused for good."""

from __future__ import annotations

import gzip
import os
import time
import weakref
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from urllib3.exceptions import HTTPError

from spanhouse.settings import Endpoint, Signal, is_loopback

Response = ExportTraceServiceResponse | ExportLogsServiceResponse | ExportMetricsServiceResponse

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same body may be taken later. 500 is one: a server that fails must not cost a batch."""
TOO_LARGE = 413
_SUCCESS = range(200, 300)
_RESPONSES: Final[dict[Signal, type[Response]]] = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}
_PIECE = 65_536
_LONGEST_ANSWER = 1024 * 1024
"""Bytes. What a server says beyond is no OTLP answer, and must not fill the agent's memory."""


class Verdict(StrEnum):
    """What becomes of a batch after one attempt."""

    TAKEN = "taken"
    RETRY = "retry"
    SPLIT = "split"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one attempt.

    Attributes:
        verdict: what to do with the batch.
        rejected: records the server left out of a batch it took (OTLP partial success).
        reason: one sentence for a person, empty where all went well.
        retry_after: seconds the server asked to wait, or None.
    """

    verdict: Verdict
    rejected: int = 0
    reason: str = ""
    retry_after: float | None = None


class Transport:
    """Posts encoded batches of one signal to one endpoint over a kept-alive connection."""

    def __init__(self, signal: Signal, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connect()
        # A forked child must not write into its parent's connection.
        connect = weakref.WeakMethod(self._connect)
        os.register_at_fork(after_in_child=lambda: (again := connect()) and again())
        self._response = _RESPONSES[signal]

    def send(self, body: bytes) -> Answer:
        """Post one encoded batch and return what became of it. Never raises for what the network or server does."""
        url = self._endpoint.url
        until = time.monotonic() + self._endpoint.timeout
        try:
            with self._session.post(
                url,
                data=_packed(body, self._endpoint.compression),
                timeout=self._endpoint.timeout,
                stream=True,
                # A redirected POST becomes a GET, whose 200 would pass for an acknowledgement.
                allow_redirects=False,
            ) as response:
                content = _content(response, until)
        except requests.ConnectionError as error:
            # Its message is urllib3's whole story of tries; the type says enough.
            return Answer(Verdict.RETRY, reason=f"{url} cannot be reached ({type(error).__name__})")
        except (OSError, HTTPError) as error:
            # The base of all that requests raises, and what a certificate file that is not there yet gives.
            return Answer(Verdict.RETRY, reason=f"{url} cannot be reached ({type(error).__name__}: {error})")
        status = response.status_code
        if status in _SUCCESS:
            return self._taken(response, content)
        reason = f"{url} answered {status} {response.reason}"
        if status in TRANSIENT:
            return Answer(Verdict.RETRY, reason=reason, retry_after=_retry_after(response.headers.get("retry-after")))
        return Answer(Verdict.SPLIT if status == TOO_LARGE else Verdict.REFUSED, reason=reason)

    def close(self) -> None:
        """Close the kept connection."""
        self._session.close()

    def _connect(self) -> None:
        endpoint = self._endpoint
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(endpoint.url)
        self._session.headers.update({"content-type": "application/x-protobuf", "user-agent": "spanhouse-python"})
        self._session.headers.update(endpoint.headers)
        if endpoint.compression != "none":
            self._session.headers["content-encoding"] = endpoint.compression
        self._session.verify = endpoint.certificate or True
        if endpoint.client_certificate:
            key = endpoint.client_key
            self._session.cert = (endpoint.client_certificate, key) if key else endpoint.client_certificate

    def _taken(self, response: requests.Response, content: bytes) -> Answer:
        message = self._response()
        kind = response.headers.get("content-type", "")
        if kind.startswith("text/html"):
            return Answer(Verdict.REFUSED, reason=f"{self._endpoint.url} is a web page and no OTLP server")
        if kind.startswith("application/x-protobuf"):
            try:
                message.ParseFromString(content)
            except DecodeError:
                # The batch was taken: an answer that cannot be read is no reason to send it again.
                message.Clear()
        match message:
            case ExportTraceServiceResponse():
                rejected = message.partial_success.rejected_spans
            case ExportLogsServiceResponse():
                rejected = message.partial_success.rejected_log_records
            case _:
                rejected = message.partial_success.rejected_data_points
        return Answer(Verdict.TAKEN, rejected=rejected, reason=message.partial_success.error_message)


def _packed(body: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(body, compresslevel=1, mtime=0)
    return zlib.compress(body, level=1) if compression == "deflate" else body


def _content(response: requests.Response, until: float) -> bytes:
    """Return the body up to what an OTLP answer may take, in bytes and in time."""
    content = b""
    while len(content) < _LONGEST_ANSWER and (piece := response.raw.read1(_PIECE, decode_content=True)):
        content += piece
        if time.monotonic() > until:
            msg = "the answer does not come to an end"
            raise TimeoutError(msg)
    return content


def _retry_after(text: str | None) -> float | None:
    # An HTTP date is allowed too; OTLP servers send seconds, and our own backoff does for the rest.
    return float(text) if text is not None and text.isdecimal() else None

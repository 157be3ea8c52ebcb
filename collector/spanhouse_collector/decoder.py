"""The collector's side of the decode child: starts it, asks it, and starts another when it dies or hangs."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.ipc

from spanhouse.errors import SpanhouseError
from spanhouse_collector.records import Counts
from spanhouse_collector.redaction.settings import MASKED, Redaction

Range: TypeAlias = tuple[Path, int, int]
"""A segment file and the offsets to read from and to stop before."""

COMMAND: Final = (sys.executable, "-m", "spanhouse_collector.child")
TIMEOUT_SECONDS: Final = 120.0

_log = logging.getLogger(__name__)


class DecodeError(SpanhouseError):
    """The decoder failed on these records: it raised, died or hung; the message says which, and with what."""


class DecoderUnavailableError(SpanhouseError):
    """The decode child cannot be had, or cannot write; no record is to blame, and a later try may work."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows of some records, read from the child's files without a copy.

    Attributes:
        records: journal records read; fewer than asked for where the journal is damaged.
        redacted: (tenant, kind) -> secrets cut out.
    """

    tables: dict[str, pa.Table]
    traces: pa.Table
    counts: Counts
    records: int
    redacted: Counter[tuple[str, str]]

    @property
    def items(self) -> int:
        """Spans, log records and data points that were read."""
        counts = self.counts
        return counts.spans + counts.audit_events + counts.logs + counts.metric_points


class Decoder:
    """Decodes stretches of the journal in a child process, one after another; safe for threads.

    Args:
        folder: for the child's Arrow files; made with mode 0700 and emptied at the start.
        command: what to run as the child; speaks as `spanhouse_collector.child`.
        timeout: seconds after which a child that has not answered is killed.
        redaction: returns how to redact at this moment.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str] = COMMAND,
        timeout: float = TIMEOUT_SECONDS,
        redaction: Callable[[], Redaction] = lambda: MASKED,
    ) -> None:
        self._folder, self._command, self._timeout, self._redaction = folder, command, timeout, redaction
        self._child: subprocess.Popen[bytes] | None = None
        self._unread, self._ready = b"", False
        self._number = 0
        self._closed = False
        # The insert thread decodes too, where the store refused rows and their neighbours are to be parted from them.
        self._lock = threading.RLock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for left in folder.glob("*.arrow"):
            left.unlink()

    @property
    def pid(self) -> int | None:
        """The child's process id while one runs."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the child, so that its imports run while nothing waits for them; otherwise the first request does.

        Raises:
            DecoderUnavailableError: the system starts no process.
        """
        with self._lock:
            self._refuse_if_closed()
            if self._child:
                return
            try:
                self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
            except OSError as error:
                msg = f"the decode child {self._command} cannot be started: {error}"
                raise DecoderUnavailableError(msg) from error
            self._unread, self._ready = b"", False

    def decode(self, ranges: Sequence[Range], *, attempts: int = 2) -> Decoded:
        """Return the rows of the records in the ranges.

        Args:
            ranges: where the records lie.
            attempts: deaths of the child that blame the records. It can die of memory pressure or an operator's hand,
                so one is not enough unless it is known already that one of these records is to blame.

        Raises:
            DecodeError: the child raised, or died or hung so often over these records.
            DecoderUnavailableError: the child cannot be had, or its disk is full; try again later.
        """
        with self._lock:
            return self._decode(ranges, attempts)

    def close(self) -> None:
        """End the child at once; a decode under way fails with `DecoderUnavailableError`."""
        self._closed = True
        if self._child:
            self._child.kill()
        with self._lock:
            self._discard_child()

    def _decode(self, ranges: Sequence[Range], attempts: int) -> Decoded:
        self._number += 1
        name = f"{self._number:08d}"
        try:
            request = {"ranges": [(str(f), a, b) for f, a, b in ranges], "name": name}
            answer = self._answer({**request, "redaction": self._redaction().as_json()}, attempts)
            return Decoded(
                tables={table: _open(file) for table, file in answer["tables"].items()},
                traces=_open(answer["traces"]),
                counts=Counts(**answer["counts"]),
                records=answer["records"],
                redacted=Counter({(tenant, kind): count for tenant, kind, count in answer["redacted"]}),
            )
        finally:
            # What is mapped stays readable after its name is gone, and a crash leaves nothing behind.
            for file in self._folder.glob(f"{name}.*.arrow"):
                file.unlink()

    def _answer(self, request: dict[str, Any], attempts: int) -> dict[str, Any]:
        line = json.dumps({**request, "into": str(self._folder)}).encode() + b"\n"
        reason = ""
        for _ in range(attempts):
            self._make_ready()
            try:
                answer: dict[str, Any] = json.loads(self._exchange(line))
            except (OSError, EOFError) as error:
                reason = str(error)
                self._discard_child()
                _log.warning("the decode child failed: %s", reason)
                continue
            if "unavailable" in answer:
                raise DecoderUnavailableError(answer["unavailable"])
            if "error" in answer:
                raise DecodeError(answer["error"])
            return answer
        self._refuse_if_closed()
        msg = f"the decode child failed {attempts} times over the same records: {reason}"
        raise DecodeError(msg)

    def _make_ready(self) -> None:
        # A child that cannot even start would otherwise be held against every record in turn.
        self._refuse_if_closed()
        self.start()
        if self._ready:
            return
        try:
            self._ready = "ready" in json.loads(self._exchange(b""))
        except (OSError, EOFError) as error:
            self._discard_child()
            msg = f"the decode child {self._command} did not start: {error}"
            raise DecoderUnavailableError(msg) from error

    def _refuse_if_closed(self) -> None:
        if self._closed:
            msg = "the decoder is closed"
            raise DecoderUnavailableError(msg)

    def _exchange(self, line: bytes) -> bytes:
        child = self._child
        assert child
        assert child.stdin
        assert child.stdout
        child.stdin.write(line)
        child.stdin.flush()
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    msg = f"no answer within {self._timeout:g} s"
                    raise TimeoutError(msg)
                piece = os.read(child.stdout.fileno(), 1 << 16)
                if not piece:
                    msg = f"it ended with status {child.wait()}"
                    raise EOFError(msg)
                self._unread += piece
        answer, _, self._unread = self._unread.partition(b"\n")
        return answer

    def _discard_child(self) -> None:
        child, self._child = self._child, None
        if not child:
            return
        assert child.stdin
        assert child.stdout
        child.kill()
        child.wait()
        # What the child never read cannot be flushed any more.
        with suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()


def _open(file: str) -> pa.Table:
    with pa.memory_map(file) as source:
        return pa.ipc.open_file(source).read_all()

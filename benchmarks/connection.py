"""A kept HTTP connection that costs the load generator little: one buffer out, the answer's head parsed by hand."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class Connection:
    """Posts bodies to one loopback address over one connection, opened when first needed.

    Args:
        port: on loopback.
        path: of every request.
        headers: besides length and type.
        timeout: seconds for each answer.
    """

    def __init__(
        self, port: int, path: str = "/v1/traces", *, headers: dict[str, str] | None = None, timeout: float = 60
    ) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-protobuf\r\n"
            f"{lines}Content-Length: "
        ).encode()
        self._port, self._timeout = port, timeout
        self._socket: socket.socket | None = None
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def post(self, body: bytearray) -> tuple[int, float]:
        """Return the answer's status and the seconds it asks to wait.

        Raises:
            OSError: no whole answer came; the connection is closed, and the body may or may not have been taken.
        """
        try:
            return self._post(body)
        except (OSError, ValueError) as error:
            self.close()
            msg = f"no answer from 127.0.0.1:{self._port}: {error}"
            raise ConnectionError(msg) from error

    def close(self) -> None:
        """Close the connection; the next ``post`` opens another."""
        if self._socket:
            self._socket.close()
            self._socket = None
        self._unread = b""

    def _post(self, body: bytearray) -> tuple[int, float]:
        if not self._socket:
            self._socket = socket.create_connection(("127.0.0.1", self._port), self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(b"".join((self._head, str(len(body)).encode(), b"\r\n\r\n", body)))
        head = self._until(b"\r\n\r\n").lower()
        fields = dict(line.split(b":", 1) for line in head.split(b"\r\n")[1:] if line)
        self._body(fields)
        if b"close" in fields.get(b"connection", b""):
            self.close()
        return int(head.split(b" ", 2)[1]), float(fields.get(b"retry-after", b"0"))

    def _body(self, fields: dict[bytes, bytes]) -> None:
        if b"chunked" not in fields.get(b"transfer-encoding", b""):
            self._exactly(int(fields.get(b"content-length", b"0")))
            return
        while size := int(self._until(b"\r\n"), 16):
            self._exactly(size + 2)
        self._until(b"\r\n")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._read()
        found, _, self._unread = self._unread.partition(mark)
        return found

    def _exactly(self, size: int) -> None:
        while len(self._unread) < size:
            self._read()
        self._unread = self._unread[size:]

    def _read(self) -> None:
        assert self._socket
        piece = self._socket.recv(1 << 16)
        if not piece:
            msg = "the connection was closed"
            raise ConnectionError(msg)
        self._unread += piece

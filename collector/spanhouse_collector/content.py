"""Undoing a request's Content-Encoding within bounds, so that a small body cannot become a huge one."""

from __future__ import annotations

import sys
import zlib
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUPPORTED: Final = ("identity", "gzip", "deflate", "zstd")
MAX_RATIO: Final = 100
RATIO_FREE_BYTES: Final = 4 << 20
"""Up to this size a body may be compressed as well as it likes: short repetitive telemetry is no attack."""

_STEP: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS
_WINDOW: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MiB, the most that RFC 9659 lets an HTTP sender ask of a receiver."""
_REQUEST_TAG: Final = 0x0A
_TOO_EARLY: Final = "the compressed body ends too early"


class ContentError(ValueError):
    """The body is not what its Content-Encoding says, or the encoding is not known."""


class TooLargeError(ValueError):
    """The body is over the limit, as sent or as decompressed."""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body without its Content-Encoding.

    Args:
        body: as sent.
        encoding: one of `SUPPORTED`, any case; empty is identity.
        limit: bytes the result may have.

    Raises:
        ContentError: unknown encoding, or corrupt or truncated data.
        TooLargeError: the result would be larger than the limit, or than `MAX_RATIO` times what was sent.
    """
    kind = encoding.strip().lower()
    if kind in {"", "identity"}:
        return body
    if kind in {"gzip", "x-gzip"}:
        return _inflate(body, _GZIP, limit)
    if kind in {"deflate", "zlib"}:
        # "deflate" is zlib by the standard and raw by habit; the first two bytes tell.
        return _inflate(body, zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS, limit)
    if kind == "zstd":
        return _unzstd(body, limit)
    msg = f"Content-Encoding {encoding!r} is not known: use one of {', '.join(SUPPORTED)}"
    raise ContentError(msg)


def sniffed(body: bytes) -> str:
    """Return the encoding of a protobuf export request by its first bytes: "gzip", "deflate" or "" for none.

    No request begins like compressed data: its only field is number 1, whose tag is another byte.
    """
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    return "deflate" if _has_zlib_header(body) and body[0] != _REQUEST_TAG else ""


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    plain = _Plain(len(body), limit)
    rest = body
    try:
        # A gzip body may hold several members in a row.
        while rest:
            stream = zlib.decompressobj(window)
            while not stream.eof:
                piece = stream.decompress(rest, _STEP)
                rest = stream.unconsumed_tail
                plain.add(piece)
                if not piece and not rest and not stream.eof:
                    raise ContentError(_TOO_EARLY)
            rest = stream.unused_data if window == _GZIP else b""
    except zlib.error as error:
        msg = f"the compressed body is corrupt: {error}"
        raise ContentError(msg) from error
    return plain.whole()


def _unzstd(body: bytes, limit: int) -> bytes:
    plain = _Plain(len(body), limit)
    rest = body
    try:
        # So may a zstd body hold several frames.
        while rest:
            stream = zstd.ZstdDecompressor(options=_WINDOW)
            while not stream.eof:
                piece = stream.decompress(rest, _STEP)
                rest = b""
                plain.add(piece)
                if not piece and not stream.eof and stream.needs_input:
                    raise ContentError(_TOO_EARLY)
            rest = stream.unused_data
    except zstd.ZstdError as error:
        msg = f"the compressed body is corrupt: {error}"
        raise ContentError(msg) from error
    return plain.whole()


class _Plain:
    """The pieces of a decompressed body, of which only so many bytes are taken."""

    def __init__(self, sent: int, limit: int) -> None:
        self._sent, self._most = sent, min(limit, max(RATIO_FREE_BYTES, MAX_RATIO * sent))
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Take one piece more, or raise `TooLargeError`."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._most:
            msg = f"the body of {self._sent} bytes has more than {self._most} when decompressed: send less at a time"
            raise TooLargeError(msg)

    def whole(self) -> bytes:
        """Return all pieces as one."""
        return b"".join(self._pieces)

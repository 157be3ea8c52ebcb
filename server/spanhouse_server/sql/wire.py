"""Bytes of ClickHouse's HTTP protocol: formats, compression, and the first answer that its Go client waits for."""

from __future__ import annotations

import gzip
import struct
import sys
import zlib
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMATS: Final = {
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "RowBinaryWithNames": "application/octet-stream",
    "RowBinaryWithNamesAndTypes": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONStrings": "application/json; charset=UTF-8",
    "JSONCompactStrings": "application/json; charset=UTF-8",
    "JSONColumns": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONStringsEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRowWithNamesAndTypes": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "CSVWithNamesAndTypes": "text/csv; charset=UTF-8; header=present",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TSVWithNames": "text/tab-separated-values; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedRaw": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNamesAndTypes": "text/tab-separated-values; charset=UTF-8",
    "Pretty": "text/plain; charset=UTF-8",
    "PrettyCompact": "text/plain; charset=UTF-8",
    "Vertical": "text/plain; charset=UTF-8",
    "Markdown": "text/markdown; charset=UTF-8",
}
"""Formats that may be asked for, with their media type."""

SMALLEST_COMPRESSED: Final = 1_000
_CUSTOM_SERIALISATION: Final = 54_454
_LARGEST_BODY: Final = 1 << 20


def compressed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """Return the body as the client best takes it, and the name of the encoding; empty where it stays as it is."""
    if len(body) < SMALLEST_COMPRESSED:
        return body, ""
    offered = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    if "zstd" in offered:
        return zstd.compress(body, 1), "zstd"
    if "gzip" in offered:
        return gzip.compress(body, 1, mtime=0), "gzip"
    if "deflate" in offered:
        return zlib.compress(body, 1), "deflate"
    return body, ""


def decompressed(body: bytes, encoding: str) -> bytes:
    """Return a request's body as it was before compression.

    Raises:
        ValueError: the encoding is not known, the body is not in it, or is larger than a statement may be.
    """
    if encoding in {"", "identity"}:
        return body
    try:
        if encoding in {"gzip", "deflate"}:
            inflate = zlib.decompressobj(wbits=47)
            plain = inflate.decompress(body, _LARGEST_BODY)
            whole = inflate.eof
        elif encoding == "zstd":
            unpack = zstd.ZstdDecompressor()
            plain = unpack.decompress(body, _LARGEST_BODY)
            whole = unpack.eof
        else:
            msg = f"encoding {encoding[:40]!r} is not read here: send gzip, deflate, zstd or none"
            raise ValueError(msg)
    except (zlib.error, zstd.ZstdError) as error:
        msg = f"the body is no {encoding}: {error}"
        raise ValueError(msg) from None
    if not whole:
        msg = f"the body is cut short, or holds more than {_LARGEST_BODY:,} bytes"
        raise ValueError(msg)
    return plain


HELLO: Final = "select displayname(), version(), revision(), timezone()"
"""What ClickHouse's Go client asks first, without spaces around, in small letters."""


def hello(version: str, protocol: int) -> bytes:
    """Return the answer to `HELLO` in the Native format of the client's own protocol revision.

    The client reads this one answer by its own revision and all others by the one told here: with 0 they have neither
    block infos nor marks of serialisation, which is how the engine writes them to a file.
    """
    columns = (
        ("displayName()", "String", _text("Spanhouse")),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", struct.pack("<I", 0)),
        ("timezone()", "String", _text("UTC")),
    )
    info = b"\x01\x00\x02" + struct.pack("<i", -1) + b"\x00" if protocol else b""
    mark = b"\x00" if protocol >= _CUSTOM_SERIALISATION else b""
    head = info + bytes((len(columns), 1))
    return head + b"".join(_text(name) + _text(kind) + mark + value for name, kind, value in columns)


def _text(value: str) -> bytes:
    """Return a string with its length before it, for lengths below 128."""
    encoded = value.encode()
    return bytes((len(encoded),)) + encoded

"""Undoing Content-Encoding within bounds."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from backports import zstd

from spanhouse_collector.content import ContentError, TooLargeError, decompress

BODY = b"spans " * 1_000
MIB = 1 << 20


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("", BODY),
        ("identity", BODY),
        ("gzip", gzip.compress(BODY, mtime=0)),
        (" GZip ", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:10], mtime=0) + gzip.compress(BODY[10:], mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("zstd", zstd.compress(BODY)),
        ("ZSTD", zstd.compress(BODY[:10]) + zstd.compress(BODY[10:])),
    ],
)
def test_every_supported_encoding_gives_the_body_back(encoding: str, sent: bytes) -> None:
    assert decompress(sent, encoding, MIB) == BODY


@pytest.mark.parametrize("cut", [0, 1, 4, 9, 10, 12, -1])
@pytest.mark.parametrize(("encoding", "whole"), [("gzip", gzip.compress(BODY, mtime=0)), ("zstd", zstd.compress(BODY))])
def test_cut_off_data_is_an_error_not_a_shorter_body(encoding: str, whole: bytes, cut: int) -> None:
    sent = whole[:cut]
    if not sent:
        assert decompress(sent, encoding, MIB) == b""
        return
    with pytest.raises(ContentError, match="too early"):
        decompress(sent, encoding, MIB)


def test_corrupt_data_and_unknown_encodings_are_named() -> None:
    with pytest.raises(ContentError, match="corrupt"):
        decompress(b"not gzip at all", "gzip", MIB)
    with pytest.raises(ContentError, match="corrupt"):
        decompress(b"not zstd at all", "zstd", MIB)
    with pytest.raises(ContentError, match="'br' is not known: use one of identity, gzip"):
        decompress(BODY, "br", MIB)


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)]
)
def test_a_bomb_is_stopped_at_the_limit_however_small_it_was(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="more than 1048576"):
            decompress(bomb, encoding, MIB)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused_before_it_gets_one() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    stream = zstd.ZstdCompressor(options=options)
    frame = stream.compress(BODY) + stream.flush()
    with pytest.raises(ContentError, match="corrupt"):
        decompress(frame, "zstd", MIB)


def test_the_ratio_is_capped_below_the_limit_and_small_bodies_are_free_of_it() -> None:
    assert len(decompress(gzip.compress(bytes(2 * MIB)), "gzip", 64 * MIB)) == 2 * MIB
    with pytest.raises(TooLargeError):
        decompress(gzip.compress(bytes(32 * MIB)), "gzip", 64 * MIB)


def test_what_does_not_compress_may_be_as_large_as_the_limit() -> None:
    noise = os.urandom(5 * MIB)
    assert decompress(gzip.compress(noise, 1, mtime=0), "gzip", 5 * MIB) == noise

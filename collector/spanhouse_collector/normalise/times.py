"""Times of spans and log records: in range, in order, and the bucket and version that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

NS: Final = 1_000_000_000
EARLIEST: Final = 1_420_070_400
"""2015-01-01, in seconds: a start before it is an odd date and goes to bucket 0."""
LATEST: Final = 4_102_444_800
"""2100-01-01, in seconds; the first second that is out."""
_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Times:
    """Times of a batch of spans, nanoseconds since the epoch, and masks of what was changed."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    bucket: npt.NDArray[np.int64]
    clamped: dict[str, npt.NDArray[np.bool_]]


def of_spans(start: npt.NDArray[np.uint64], end: npt.NDArray[np.uint64], received_us: npt.NDArray[np.int64]) -> Times:
    """Return the times of spans from what was sent; one edge stands in for the other, receipt for both.

    The bucket is the start's second, a function of what was sent alone: 0 for a span without times or with an odd date.
    """
    sent = np.where(start == 0, end, start)
    end = np.where(end == 0, start, end)
    far_start, far_end = sent > _MAX, end > _MAX
    received = received_us * 1000
    first = np.where(sent == 0, received, np.minimum(sent, _MAX).astype(np.int64))
    last = np.where(end == 0, received, np.minimum(end, _MAX).astype(np.int64))
    backwards = last < first
    seconds = np.where(sent == 0, 0, first // NS)
    odd = (seconds < EARLIEST) | (seconds >= LATEST)
    return Times(
        start=first,
        end=last,
        duration=np.where(backwards, 0, last - first),
        bucket=np.where(odd, 0, seconds),
        clamped={"start": far_start, "end": far_end, "duration": backwards, "bucket": odd},
    )


def of_log(candidates: tuple[int, ...], received_us: int) -> tuple[int, int]:
    """Return (time in ns, bucket in s) of a log record: the first time that is set, else when it was received."""
    sent = next((time for time in candidates if time > 0), 0)
    time = min(sent, _MAX) or received_us * 1000
    seconds = min(sent, _MAX) // NS
    return time, seconds if EARLIEST <= seconds < LATEST else 0


def version(*, final: bool, received_us: int, collector: int) -> int:
    """Return a row's version: a finished span beats its start record, then the later receipt beats the earlier."""
    return (int(final) << 60) | (received_us << 8) | collector


def rfc3339(time_ns: int) -> str:
    """Return a time as RFC 3339 text in UTC with nanoseconds; "" for none."""
    if time_ns <= 0:
        return ""
    seconds, rest = divmod(min(time_ns, _MAX), NS)
    return f"{np.datetime64(seconds, 's')}.{rest:09d}Z"

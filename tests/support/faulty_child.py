"""A decode child that some bodies harm: run as the pipeline's decoder command.

A body with "DIE" in it ends the process, one with "RAISE" raises, one with "FULL" meets a full disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from spanhouse_collector import child
from spanhouse_collector.normalise import normalise
from spanhouse_collector.records import Normalised, RawRecord


def faulty(records: Sequence[RawRecord]) -> Normalised:
    """Normalise, unless a body says otherwise."""
    for record in records:
        if b"DIE" in record.body:
            os._exit(9)
        if b"RAISE" in record.body:
            msg = "this body is poison"
            raise RuntimeError(msg)
        if b"FULL" in record.body:
            raise OSError(errno.ENOSPC, "No space left on device")
    return normalise(records)


if __name__ == "__main__":
    child.main(faulty)

"""``/api/v1/backup``: everything a server needs to go on elsewhere, as one file, while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from spanhouse_server.api.problems import Problem
from spanhouse_server.backup.errors import BackupError
from spanhouse_server.backup.making import Backup, Source
from spanhouse_server.parts import Parts, whole

router = APIRouter(prefix="/api/v1/backup", tags=["health"])

WAIT_SECONDS: Final = 60.0
_ONE_AT_A_TIME: Final = threading.Lock()


@router.post("")
def make(
    request: Request,
    wait: Annotated[
        float, Query(ge=0, le=600, description="Seconds to wait until everything acknowledged is stored")
    ] = WAIT_SECONDS,
) -> Response:
    """Stream a tar file of store, state, keys, policy and rules; whatever was acknowledged before is in it.

    It holds the operator token and the hashes of keys: who may take it may do everything.
    """
    parts = whole(request)
    asked = datetime.now(UTC)
    _settle(parts, asked, wait)
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        detail = "another backup is being taken from this server; wait for its end"
        raise Problem(HTTPStatus.CONFLICT, "A backup is being made already", detail)
    try:
        backup = Backup(Source(parts.store, parts.settings, online=True, as_of=asked))
    except BackupError as error:
        _ONE_AT_A_TIME.release()
        raise Problem(HTTPStatus.CONFLICT, "This store cannot be backed up here", str(error)) from error
    except BaseException:
        _ONE_AT_A_TIME.release()
        raise
    headers = {"content-disposition": f'attachment; filename="spanhouse-{asked:%Y%m%dT%H%M%SZ}.tar"'}
    return StreamingResponse(_read(backup), media_type="application/x-tar", headers=headers)


def _settle(parts: Parts, asked: datetime, wait: float) -> None:
    deadline = time.monotonic() + wait
    while left := parts.pipeline.pending(until=asked):
        if time.monotonic() > deadline:
            detail = (
                f"{left:,} records that were acknowledged are not stored after {wait:.0f} s, and a backup without them "
                "would lack them: see /readyz why, and ask again"
            )
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Not everything is stored yet", detail, {"Retry-After": "30"})
        time.sleep(0.05)


def _read(backup: Backup) -> Iterator[bytes]:
    try:
        yield from backup
    finally:
        backup.close()
        _ONE_AT_A_TIME.release()

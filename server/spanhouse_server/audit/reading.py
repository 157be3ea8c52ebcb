"""What a verification reads: events and checkpoints over the API, copies of checkpoints from files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from spanhouse.client import Client
from spanhouse.errors import ConfigurationError, ServerError
from spanhouse_server.audit.checkpoint import KEYS_FILE, SUFFIX, CheckpointError, Signed
from spanhouse_server.audit.signing import PublicKey, read_public

PAGE: Final = 1_000
_NOT_FOUND: Final = 404
SETTLED: Final = timedelta(minutes=2)
"""Events of a run that ended a moment ago may still be on their way."""

Event = dict[str, Any]


@dataclass
class Copies:
    """Checkpoints copied elsewhere.

    Attributes:
        by_tenant: the checkpoints, in the order of the files.
        keys: public keys that lay beside them.
        broken: lines that are no checkpoints, each in words.
    """

    by_tenant: dict[str, list[Signed]] = field(default_factory=dict)
    keys: list[PublicKey] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def copies(path: Path) -> Copies:
    """Return the checkpoints of a file, or of all files of a directory.

    Raises:
        ConfigurationError: it cannot be read, or holds no checkpoint at all.
    """
    found = Copies()
    try:
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        for file in files:
            _read(file, found)
        beside = (path if path.is_dir() else path.parent) / KEYS_FILE
        if beside.exists():
            found.keys = [PublicKey.of_json(key) for key in json.loads(beside.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError) as error:
        msg = f"checkpoints cannot be read from {path}: {error}"
        raise ConfigurationError(msg) from error
    if not found.by_tenant and not found.broken:
        msg = f"{path} holds no checkpoint: name a file of them, or a directory of files ending in {SUFFIX}"
        raise ConfigurationError(msg)
    return found


def _read(file: Path, found: Copies) -> None:
    text = file.read_text(encoding="utf-8", errors="replace")
    # What a copy was cut off in the middle of is no flaw of what was copied.
    whole = text[: text.rfind("\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            signed = Signed.of_line(line)
        except CheckpointError as error:
            found.broken.append(f"line {number} of {file} is no checkpoint: {error}")
        else:
            found.by_tenant.setdefault(signed.checkpoint.tenant, []).append(signed)


def public_keys(path: Path) -> list[PublicKey]:
    """Return the public keys of a PEM file.

    Raises:
        ConfigurationError: it cannot be read, or holds none.
    """
    try:
        return read_public(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} is no file of Ed25519 public keys in PEM: {error}"
        raise ConfigurationError(msg) from error


def own_checkpoints(client: Client, tenant: str) -> Iterator[Signed]:
    """Yield the server's checkpoints of a tenant, in order.

    Raises:
        ServerError: the server does not answer, or with something else.
    """
    after = 0
    while True:
        page = client.audit_checkpoints(tenant=tenant, after=after, limit=PAGE)["checkpoints"]
        try:
            found = [Signed.of_json(each) for each in page]
        except CheckpointError as error:
            msg = f"the server has something that is no checkpoint after {after} of tenant {tenant[:100]!r}: {error}"
            raise ServerError(msg) from error
        yield from found
        if len(found) < PAGE:
            return
        after = found[-1].checkpoint.number


def expected(client: Client, tenant: str, run_id: str | None = None) -> dict[str, int]:
    """Return how many audit events each run of a tenant says that it wrote, for those that ended a while ago."""
    if run_id is not None:
        try:
            run = client.run(run_id)
        except ServerError as error:
            if error.status == _NOT_FOUND:
                return {}
            raise
        ended = run["ended_at"] and datetime.fromisoformat(run["ended_at"]) < datetime.now(UTC) - SETTLED
        said = run["audit_expected"]
        return {run["run_id"]: said} if ended and said is not None and run["tenant"] == tenant else {}
    found: dict[str, int] = {}
    with client.export("runs", tenant=[tenant]) as export:
        edge = datetime.fromisoformat(export.said["as_of"]) - SETTLED
        for batch in export:
            for row in batch.rows.select(["run_id", "ended_at", "audit_expected"]).to_pylist():
                if row["audit_expected"] is not None and row["ended_at"] is not None and row["ended_at"] < edge:
                    found[row["run_id"]] = row["audit_expected"]
    return found


def streams(
    client: Client, tenant: str, run_id: str | None, tell: Callable[[int, int], None]
) -> Iterator[tuple[str, list[Event]]]:
    """Yield each stream of a tenant with its events by number; one stream is in memory at a time.

    Args:
        client: of the server.
        tenant: whose.
        run_id: only this run; None for all there are.
        tell: called with events read so far, and how many there are.
    """
    filters: dict[str, Any] = {"tenant": [tenant]}
    if run_id is not None:
        filters["run_id"] = [run_id]
    for stream, rows in groupby(_events(client, filters, tell), key=lambda row: str(row["stream"])):
        yield stream, list(rows)


def _events(client: Client, filters: Mapping[str, Any], tell: Callable[[int, int], None]) -> Iterator[Event]:
    with client.export("audit", **filters) as export:
        for batch in export:
            tell(export.rows, export.said["expected"])
            for row in batch.rows.to_pylist():
                yield {**row, "time": _stamp(row["time"]), "data": _parsed(row["data"])}


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _parsed(text: str | None) -> Any:  # noqa: ANN401 - any JSON value
    if not text:
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

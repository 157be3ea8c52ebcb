"""An export from its first row to its last, in files, so that it can be taken up again wherever it broke off."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from spanhouse.client import Client
from spanhouse.frames import Export
from spanhouse_server.exports.manifest import FILE_NAME, PART, ExportError, Manifest, described
from spanhouse_server.exports.writers import WRITERS, Writer

ROWS_A_FILE: Final = 250_000
_OTLP_NOTES: Final = {
    "spans": (
        "attributes are texts: the store keeps no types of attributes, and readers of OTLP conventions take texts too",
        "spans that were made from log records are not in it: they follow from logs, which are not exported",
        "a resource that names no tenant or environment names those its records are stored under",
    ),
    "audit": ("events that were made from logs of coding agents become events of Spanhouse's own scope",),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported.

    Attributes:
        what: runs, spans, steps or audit.
        format: parquet, csv, jsonl or otlp.
        filters: as the API takes them.
    """

    what: str
    format: str
    filters: Mapping[str, Any]


def begin(client: Client, wanted: Wanted, directory: Path) -> tuple[Manifest, Export]:
    """Begin an export into a directory that is empty or not there yet.

    Raises:
        ExportError: the directory holds something, or what is wanted has no such format.
        ServerError: the server refuses; nothing was written then.
    """
    if wanted.format == "otlp" and wanted.what not in _OTLP_NOTES:
        msg = f"{wanted.what} are computed, not received: OTLP has no form for them; export spans or audit"
        raise ExportError(msg)
    if directory.exists() and any(path.name != f"{FILE_NAME}{PART}" for path in directory.iterdir()):
        held = "an export: go on with --resume, or name another directory" if (directory / FILE_NAME).exists() else ""
        msg = f"{directory} holds {held or 'files of its own: name an empty directory'}"
        raise ExportError(msg)
    export = client.export(wanted.what, **_asked(wanted))
    said = export.said
    otlp = wanted.format == "otlp"
    manifest = Manifest(
        what=wanted.what,
        format=wanted.format,
        filters=dict(wanted.filters),
        server={"url": client.url, "version": said["version"]},
        as_of=said["as_of"],
        since=said["since"],
        until=said["until"],
        expected=said["expected"],
        schema=[] if otlp else [{"name": field.name, "type": str(field.type)} for field in export.schema],
        started_at=_now(),
        notes=list(_OTLP_NOTES[wanted.what]) if otlp else [],
    )
    directory.mkdir(parents=True, exist_ok=True)
    manifest.write(directory)
    return manifest, export


def resume(client: Client, wanted: Wanted, directory: Path) -> tuple[Manifest, Export | None]:
    """Go on with the export in a directory; None in the place of the export where it is complete.

    Raises:
        ExportError: the directory holds no export, or another one than is wanted.
        ServerError: the server refuses.
    """
    manifest = Manifest.read(directory)
    for name in ("what", "format", "filters"):
        before, now = getattr(manifest, name), getattr(wanted, name)
        if before != now:
            msg = f"{directory} holds an export with {name} {before!r}, not {now!r}: repeat what it was begun with"
            raise ExportError(msg)
    known = {file.name for file in manifest.files}
    for file in manifest.files:
        if not (directory / file.name).is_file() or (directory / file.name).stat().st_size != file.bytes:
            msg = f"{file.name} in {directory} is not as it was written: export anew into another directory"
            raise ExportError(msg)
    if manifest.complete:
        return manifest, None
    for path in directory.glob(f"{wanted.what}-*"):
        if path.name not in known:
            path.unlink()
    times = {name: value for name in ("since", "until") if (value := getattr(manifest, name))}
    asked = {**_asked(wanted), **times, "as_of": manifest.as_of, "cursor": manifest.cursor}
    return manifest, client.export(wanted.what, **asked)


def run(
    manifest: Manifest,
    export: Export,
    directory: Path,
    *,
    rows_a_file: int = ROWS_A_FILE,
    progress: Callable[[int, int], None] = lambda _rows, _expected: None,
) -> Manifest:
    """Write all rows that come, file by file, and return the manifest, complete.

    Raises:
        ServerError: the stream broke off; what is in the manifest stays, and `resume` goes on behind it.
        OSError: a file cannot be written.
    """
    # The server counts anew at each request; what was there at the beginning is what the manifest is held against.
    with export, closing(_Part(directory, manifest, export.schema)) as part:
        for batch in export:
            part.write(batch.rows, batch.cursor)
            progress(manifest.rows + part.rows, manifest.expected)
            if part.rows >= rows_a_file:
                part.finish()
        part.finish()
    manifest.complete = True
    manifest.ended_at = _now()
    manifest.changed = abs(manifest.expected - manifest.rows)
    if manifest.rows < manifest.expected:
        manifest.notes.append(
            f"{manifest.changed:,} rows were replaced while the export ran by versions received after "
            f"{manifest.as_of}; they are not in it, a later export has them"
        )
    elif manifest.changed:
        manifest.notes.append(f"{manifest.changed:,} rows more became visible while the export ran")
    manifest.write(directory)
    return manifest


class _Part:
    """The file that is being written, if there is one."""

    def __init__(self, directory: Path, manifest: Manifest, schema: pa.Schema) -> None:
        self._directory, self._manifest, self._schema = directory, manifest, schema
        self._ending, self._make = WRITERS[manifest.format]
        self._writer: Writer | None = None
        self._cursor: str | None = None
        self.rows = 0

    @property
    def _path(self) -> Path:
        number = len(self._manifest.files) + 1
        return self._directory / f"{self._manifest.what}-{number:05}.{self._ending}{PART}"

    def write(self, rows: pa.RecordBatch, cursor: str) -> None:
        if self._writer is None:
            self._writer = self._make(self._path, self._schema)
        self._writer.write(rows)
        self.rows += rows.num_rows
        self._cursor = cursor

    def close(self) -> None:
        """Leave the file as it is; the next attempt writes it anew."""
        if self._writer is not None:
            self._writer.close()

    def finish(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        draft = self._path
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        path = draft.with_name(draft.name.removesuffix(PART))
        draft.replace(path)
        manifest = self._manifest
        manifest.files.append(described(path, self.rows))
        manifest.rows += self.rows
        manifest.cursor = self._cursor
        manifest.write(self._directory)
        self._writer, self.rows = None, 0


def _asked(wanted: Wanted) -> dict[str, Any]:
    return {**wanted.filters, "form": "stored"} if wanted.format == "otlp" else dict(wanted.filters)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""``manifest.json`` of an export: what was asked, what each file holds, and whether that is all."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from spanhouse.errors import SpanhouseError

FILE_NAME: Final = "manifest.json"
PART: Final = ".part"
"""Ending of a file that is being written; nothing else has it."""
VERSION: Final = 1
_BLOCK: Final = 1 << 20


class ExportError(SpanhouseError):
    """An export cannot be begun, continued or trusted; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """One file that was written whole."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What an export is and how far it is; written anew after each file.

    Attributes:
        what: runs, spans, steps or audit.
        format: parquet, csv, jsonl or otlp.
        filters: as they were given; ``since`` and ``until`` as the times they meant.
        as_of: rows received after it are left out.
        expected: rows there were when the export began.
        schema: columns and their types; empty for OTLP.
        cursor: after the last row of the last file; null before the first.
        changed: rows that are missing, or more, for they were replaced while the export ran; null until it is complete.
        complete: whether these are all rows.
        notes: what a reader should know, in sentences.
    """

    what: str
    format: str
    filters: dict[str, Any]
    server: dict[str, str]
    as_of: str
    since: str | None
    until: str | None
    expected: int
    schema: list[dict[str, str]]
    started_at: str
    ended_at: str | None = None
    files: list[File] = field(default_factory=list)
    rows: int = 0
    cursor: str | None = None
    changed: int | None = None
    complete: bool = False
    notes: list[str] = field(default_factory=list)
    spanhouse_export: int = VERSION

    def write(self, directory: Path) -> None:
        """Replace the manifest of a directory, whole or not at all."""
        draft = directory / f"{FILE_NAME}{PART}"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(directory / FILE_NAME)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the manifest of a directory.

        Raises:
            ExportError: there is none, or none of this program's.
        """
        path = directory / FILE_NAME
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            said["files"] = [File(**each) for each in said["files"]]
            found = cls(**said)
        except FileNotFoundError:
            msg = f"{directory} holds no {FILE_NAME}: is it the directory of an export?"
            raise ExportError(msg) from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            msg = f"{path} is not the manifest of an export: {error}"
            raise ExportError(msg) from error
        if found.spanhouse_export > VERSION:
            msg = f"{path} was written by a newer release (manifest {found.spanhouse_export}): upgrade spanhouse"
            raise ExportError(msg)
        return found


def described(path: Path, rows: int) -> File:
    """Return the entry of a file that was written whole."""
    return File(path.name, rows, path.stat().st_size, checksum(path))


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def problems(directory: Path) -> list[str]:
    """Return what is wrong with the export in a directory, in sentences; nothing where all is as the manifest says.

    Raises:
        ExportError: there is no manifest to go by.
    """
    manifest = Manifest.read(directory)
    found = [problem for file in manifest.files if (problem := _problem(directory, file))]
    known = {FILE_NAME, *(file.name for file in manifest.files)}
    found += [f"{path.name} is not in the manifest" for path in sorted(directory.iterdir()) if path.name not in known]
    if sum(file.rows for file in manifest.files) != manifest.rows:
        found.append(f"the files have {sum(file.rows for file in manifest.files):,} rows, not {manifest.rows:,}")
    if not manifest.complete:
        found.append("the export is not complete: go on with `spanhouse export … --resume`")
    return found


def _problem(directory: Path, file: File) -> str | None:
    path = directory / file.name
    # Names come from a file that may have been changed; none leads out of the directory.
    if Path(file.name).name != file.name or not path.is_file():
        return f"{file.name} is missing"
    if path.stat().st_size != file.bytes:
        return f"{file.name} has {path.stat().st_size:,} bytes, not {file.bytes:,}"
    return None if checksum(path) == file.sha256 else f"{file.name} was changed: its checksum is another"

"""``manifest.json`` of a backup, its last member: what is in it and what it must be when it is restored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from spanhouse_server.backup.errors import BackupError

NAME: Final = "manifest.json"
VERSION: Final = 1
_MEMBER: Final = re.compile(r"(data|state|tables)(/[^/\x00]+)+")
_TABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREATE: Final = re.compile(r"CREATE TABLE spanhouse\.[A-Za-z_][A-Za-z0-9_]* \(.* ENGINE = \w*MergeTree\b", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Table:
    """One table: how it was made, its rows (versions of the same row counted each), and its parts in their order."""

    name: str
    create: str
    rows: int
    parts: list[str]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is.

    Attributes:
        spanhouse_version: of the program that made it.
        schema: number of the newest migration its tables have had.
        as_of: everything acknowledged before it is in the backup.
        online: whether the server ran meanwhile.
        tables: the store's tables.
        members: every other file of the archive.
        settings: settings that were not the defaults, without passwords.
        notes: what is not in it, in sentences.
    """

    spanhouse_version: str
    schema: int
    as_of: str
    online: bool
    tables: list[Table]
    settings: dict[str, Any]
    notes: list[str]
    members: dict[str, Member] = field(default_factory=dict)
    spanhouse_backup: int = VERSION

    def as_bytes(self) -> bytes:
        """Return the manifest as it stands in the archive."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Return a manifest read from an archive.

        Raises:
            BackupError: it is of a newer release, or names what no backup has.
        """
        try:
            said: Mapping[str, Any] = json.loads(text)
            if said["spanhouse_backup"] > VERSION:
                msg = f"the backup was made by a newer release ({said['spanhouse_version']}): upgrade spanhouse"
                raise BackupError(msg)
            tables = [Table(**each) for each in said["tables"]]
            members = {name: Member(**each) for name, each in said["members"].items()}
            found = cls(**{**said, "tables": tables, "members": members})
        except (ValueError, TypeError, KeyError) as error:
            msg = f"the backup's manifest cannot be read: {type(error).__name__}: {error}"
            raise BackupError(msg) from error
        for name in members:
            if not _MEMBER.fullmatch(name) or {"..", "."} & set(name.split("/")):
                msg = f"the backup names a file {name[:200]!r}, which no backup has: it was not made by spanhouse"
                raise BackupError(msg)
        for table in tables:
            if not _TABLE.fullmatch(table.name) or not _CREATE.match(table.create):
                msg = f"the backup makes a table {table.name[:200]!r} as no backup does: it was not made by spanhouse"
                raise BackupError(msg)
        return found

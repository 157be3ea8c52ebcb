"""Checkpoints copied into files, one a tenant: beside the data, and to wherever the server cannot change them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Engine

from spanhouse.errors import SpanhouseError
from spanhouse_server.audit import table
from spanhouse_server.audit.checkpoint import KEYS_FILE, SUFFIX, CheckpointError, Signed

_AT_ONCE: Final = 500
_LONGEST: Final = 200
_LONGEST_LINE: Final = 16 << 20


class MirrorError(SpanhouseError):
    """A file of checkpoints cannot be written, or says something else than the state database."""


def file_name(tenant: str) -> str:
    """Return the name of a tenant's file; what no file name bears is written as %XX, a long name with its hash."""
    name = quote(tenant, safe="")
    if len(name) > _LONGEST:
        name = f"{name[:100]}-{hashlib.sha256(tenant.encode()).hexdigest()}"
    return name + SUFFIX


class Mirror:
    """A directory that is brought up to what the state database has. It only ever appends.

    Args:
        folder: made where it is missing.
        state: the state database.
    """

    def __init__(self, folder: Path, state: Engine) -> None:
        self.folder, self._state = folder, state
        self._last: dict[str, int] = {}

    def bring_up(self, tenants: dict[str, Signed]) -> None:
        """Append what is missing of these tenants' checkpoints, whose last are given.

        Raises:
            MirrorError: a file cannot be written, or its last line is not what the state database has.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for tenant, newest in tenants.items():
                if self._last.get(tenant) != newest.checkpoint.number:
                    self._append(tenant, newest.checkpoint.number)
            self._write_keys()
        except OSError as error:
            self._last = {}
            msg = f"checkpoints cannot be written to {self.folder}: {error.strerror or error}"
            raise MirrorError(msg) from error

    def _append(self, tenant: str, newest: int) -> None:
        path = self.folder / file_name(tenant)
        last = self._last.get(tenant)
        if last is None:
            last = self._checked_end(path, tenant)
        while last < newest:
            lines = table.lines(self._state, tenant, last, _AT_ONCE)
            if not lines:
                break
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
                os.fsync(file.fileno())
            last = Signed.of_line(lines[-1]).checkpoint.number
        self._last[tenant] = last

    def _checked_end(self, path: Path, tenant: str) -> int:
        """Return the number of a file's last checkpoint, 0 for none; what a crash left of a line is cut off."""
        if not path.exists():
            return 0
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _LONGEST_LINE))
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            os.truncate(path, size - len(text) + len(whole))
        if not whole:
            return 0
        line = whole.splitlines()[-1].decode("utf-8", "replace")
        try:
            number = Signed.of_line(line).checkpoint.number
        except CheckpointError as error:
            msg = f"the last line of {path} is no checkpoint ({error}): somebody else writes to it"
            raise MirrorError(msg) from error
        known = table.lines(self._state, tenant, number - 1, 1)
        if known != [line]:
            msg = (
                f"{path} and the state database have different checkpoints {number} of tenant {tenant[:100]!r}: "
                f"one of them was tampered with, or restored from a backup; 'spanhouse audit verify' says more"
            )
            raise MirrorError(msg)
        return number

    def _write_keys(self) -> None:
        """Add keys that the file does not have; one that stands there stays as it is."""
        path = self.folder / KEYS_FILE
        there = json.loads(path.read_text()) if path.exists() else []
        held = {key["key_id"] for key in there}
        fresh = [key.as_json() for key in table.keys(self._state) if key.id not in held]
        if not fresh:
            return
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump([*there, *fresh], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

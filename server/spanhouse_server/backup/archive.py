"""The archive: a tar file made while it is sent, its manifest last, so that one that was cut off has none."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from spanhouse_server.backup import manifest as manifests
from spanhouse_server.backup.errors import BackupError
from spanhouse_server.backup.manifest import Manifest, Member

_BLOCK: Final = 1 << 20


def pieces(files: Iterable[tuple[str, Path]], manifest: Manifest) -> Iterator[bytes]:
    """Yield the bytes of an archive of files, which must not change meanwhile, and of the manifest with them in it."""
    members: dict[str, Member] = {}
    for name, path in files:
        digest, size = hashlib.sha256(), path.stat().st_size
        yield _head(name, size)
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                yield block
        yield _padding(size)
        members[name] = Member(size, digest.hexdigest())
    body = replace(manifest, members=members).as_bytes()
    yield _head(manifests.NAME, len(body))
    yield body
    yield _padding(len(body))
    yield bytes(2 * tarfile.BLOCKSIZE)


class Archive:
    """A backup in a file, open for reading.

    Raises:
        BackupError: it is no backup, or was cut off.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path)  # noqa: SIM115 - closed by `close`
        except (tarfile.TarError, OSError, EOFError) as error:
            msg = f"{path} cannot be read as a backup: {error}"
            raise BackupError(msg) from error
        try:
            self._members, self.manifest = self._read(path)
        except BaseException:
            self._tar.close()
            raise

    def _read(self, path: Path) -> tuple[dict[str, tarfile.TarInfo], Manifest]:
        try:
            members = {member.name: member for member in self._tar.getmembers() if member.isfile()}
        except (tarfile.TarError, OSError, EOFError) as error:
            msg = f"{path} cannot be read to its end, it was cut off: {error}"
            raise BackupError(msg) from error
        found = members.pop(manifests.NAME, None)
        if found is None:
            msg = f"{path} has no manifest: it is no backup, or it was cut off while it was made"
            raise BackupError(msg)
        manifest = Manifest.parse(self._opened(found).read())
        missing = sorted(manifest.members.keys() - members.keys())
        if missing:
            msg = f"{path} lacks {len(missing)} of its files, {missing[0]} for one: it was changed or cut off"
            raise BackupError(msg)
        return members, manifest

    def close(self) -> None:
        """Close the file."""
        self._tar.close()

    def copy(self, name: str, to: Path | None) -> None:
        """Write a member to a file, readable by its owner alone; to nowhere where only its checksum is wanted.

        Raises:
            BackupError: it is not what the manifest says.
        """
        said, digest, size = self.manifest.members[name], hashlib.sha256(), 0
        if to is not None:
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = self._opened(self._members[name])
        with _sink(to) as sink:
            try:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    sink.write(block)
            except (tarfile.TarError, EOFError) as error:
                msg = f"{name} in the backup cannot be read: {error}"
                raise BackupError(msg) from error
        if (size, digest.hexdigest()) != (said.bytes, said.sha256):
            msg = f"{name} in the backup was changed: its checksum is not the manifest's; use another backup"
            raise BackupError(msg)

    def _opened(self, member: tarfile.TarInfo) -> IO[bytes]:
        opened = self._tar.extractfile(member)
        assert opened is not None
        return opened


def _sink(to: Path | None) -> IO[bytes]:
    if to is None:
        return Path(os.devnull).open("wb")
    return os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _head(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)

"""A PostgreSQL server of one's own on a loopback port, run by a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from tests.support.process import free_port


def missing() -> str:
    """Return why no PostgreSQL can be started here; empty where one can."""
    if _binaries() is None:
        return "no PostgreSQL server binaries: install postgresql (Debian: apt-get install postgresql)"
    if os.getuid() == 0 and not _has_user("postgres"):
        return "PostgreSQL does not run as root and there is no user postgres"
    return ""


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the SQLAlchemy URL of an empty server's database; it ends with the block."""
    binaries = _binaries()
    assert binaries is not None
    # Below /tmp, as the other user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="spanhouse-pg-"))
    port = free_port()
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        data = str(folder / "data")
        _run([str(binaries / "initdb"), "-D", data, "-U", "spanhouse", "-A", "trust", "-E", "UTF8", "--no-sync"])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        log = str(folder / "log")
        _run([str(binaries / "pg_ctl"), "-D", data, "-w", "-l", log, "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://spanhouse@127.0.0.1:{port}/postgres"
        finally:
            _run([str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty(url: str) -> str:
    """Return the URL after everything in its database was dropped."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


def _binaries() -> Path | None:
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return versions[-1].parent if versions else None


def _has_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _run(command: Sequence[str]) -> None:
    switched = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    ended = subprocess.run(  # type: ignore[call-overload]
        command,
        cwd="/tmp",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **switched,
    )
    assert ended.returncode == 0, ended.stderr

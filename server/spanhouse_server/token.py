"""The operator token: what tells a person at the keyboard from an agent on the same machine."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from spanhouse.errors import ConfigurationError

FILE_NAME = "operator.token"


def ensure(data_dir: Path) -> str:
    """Return the operator token of a data directory, made at the first start in a file only its owner can read.

    Raises:
        ConfigurationError: the file is there and holds no token.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        _write(path, "sho_" + secrets.token_urlsafe(32))
    token = read(data_dir)
    if token is None:
        msg = f"{path} holds no operator token that can be read: remove it, and the next start makes a new one"
        raise ConfigurationError(msg)
    return token


def read(data_dir: Path) -> str | None:
    """Return the operator token a client on this machine may use, or None where the file holds none or is not ours."""
    try:
        return (data_dir / FILE_NAME).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def matches(given: str, expected: str) -> bool:
    """Return whether two tokens are equal, in time that does not depend on where they differ. Empty ones never are."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _write(path: Path, token: str) -> None:
    """Write the file whole or not at all: a crash in between must not leave an empty token behind."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

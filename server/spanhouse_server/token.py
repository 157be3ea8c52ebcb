"""The operator token: what tells a person at the keyboard from an agent on the same machine."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

FILE_NAME = "operator.token"


def ensure(data_dir: Path) -> str:
    """Return the operator token of a data directory, made at the first start in a file only its owner can read."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / FILE_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    token = "sho_" + secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token


def read(data_dir: Path) -> str | None:
    """Return the operator token a client on this machine may use, or None where the file cannot be read."""
    try:
        return (data_dir / FILE_NAME).read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def matches(given: str, expected: str) -> bool:
    """Return whether two tokens are equal, in time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())

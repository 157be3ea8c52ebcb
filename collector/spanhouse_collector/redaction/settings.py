"""What redaction needs to know: the policy and the key of its hashes, as one value that crosses processes."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spanhouse_collector.policy.file import PolicyFile
from spanhouse_collector.policy.model import Policy

_KEY_BYTES: Final = 32
_FILE: Final = "redaction.key"


@dataclass(frozen=True)
class Redaction:
    """How to redact.

    Attributes:
        policy: what each tenant wants.
        key: secret of the hashes that stand for secrets in mode ``hash``; equal values have equal hashes under one key.
    """

    policy: Policy = field(default_factory=Policy)
    key: bytes = b""

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values, for the decode child."""
        return {"policy": self.policy.model_dump(mode="json"), "key": self.key.hex()}

    @classmethod
    def from_json(cls, said: dict[str, object]) -> Redaction:
        """Return what `as_json` made."""
        return cls(Policy.model_validate(said["policy"]), bytes.fromhex(str(said["key"])))


MASKED: Final = Redaction()
"""What holds without a policy: every secret is masked."""


class Redacting:
    """Gives how to redact at this moment: the same value until the policy file changes."""

    def __init__(self, file: PolicyFile, key: bytes) -> None:
        self._file, self._key = file, key
        self._now = Redaction(file.current(), key)

    def __call__(self) -> Redaction:
        """Return how to redact."""
        policy = self._file.current()
        if policy is not self._now.policy:
            self._now = Redaction(policy, self._key)
        return self._now


def key_in(directory: Path) -> bytes:
    """Return the key of a data directory, made at the first call and readable by its owner alone.

    Raises:
        OSError: it can be neither read nor made.
    """
    file = directory / _FILE
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return file.read_bytes()
    key = secrets.token_bytes(_KEY_BYTES)
    with os.fdopen(descriptor, "wb") as out:
        out.write(key)
        out.flush()
        os.fsync(out.fileno())
    return key

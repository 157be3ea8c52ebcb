"""A signed statement of what a tenant's trail held at one moment: pure, what is signed and how it is read back.

A checkpoint names the head of each stream that changed since the one before, and the hash of that one. So whoever holds
the last one has vouched for all: a rewritten event, a stream that is gone and a checkpoint left out all show.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from spanhouse.errors import SpanhouseError

FIRST: Final = hashlib.sha256(b"spanhouse audit checkpoints 1").hexdigest()
"""What a tenant's first checkpoint has as the hash of the one before."""

SUFFIX: Final = ".jsonl"
"""How files of checkpoints end, each with a signed one a line."""
KEYS_FILE: Final = "audit-keys.json"
"""The file beside them with the public keys that verify them."""

_FIELDS: Final = frozenset({"tenant", "number", "time", "previous", "heads", "events", "kept_from", "key_id"})


class CheckpointError(SpanhouseError):
    """A text is no checkpoint."""


class Head(NamedTuple):
    """The last event of a stream.

    Attributes:
        hash: its hash; empty where its sender does not chain.
    """

    stream: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a tenant's trail held at one moment.

    Attributes:
        number: counts the tenant's checkpoints from 1 without a gap.
        time: when it was made, aware, to the microsecond.
        previous: hash of the one before; `FIRST` for the first.
        heads: of the streams that changed since then, by stream.
        events: how many events these streams held.
        kept_from: retention has removed events older than this; None where it removes none.
        key_id: of the key that signs it.
    """

    tenant: str
    number: int
    time: datetime
    previous: str
    heads: tuple[Head, ...]
    events: int
    kept_from: datetime | None
    key_id: str

    def as_json(self) -> dict[str, Any]:
        """Return the document as it is published; all numbers are whole, times RFC 3339."""
        return {
            "tenant": self.tenant,
            "number": self.number,
            "time": _stamp(self.time),
            "previous": self.previous,
            "heads": [list(head) for head in self.heads],
            "events": self.events,
            "kept_from": None if self.kept_from is None else _stamp(self.kept_from),
            "key_id": self.key_id,
        }

    def text(self) -> str:
        """Return what is hashed and signed: the document as JSON with sorted keys, in ASCII, without spaces."""
        return json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """64 hex digits of SHA-256 over the text."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Checkpoint:
        """Return the checkpoint that a document is.

        Raises:
            CheckpointError: it is none.
        """
        if set(document) != _FIELDS:
            msg = f"a checkpoint has the fields {', '.join(sorted(_FIELDS))}, not {', '.join(sorted(document))[:200]}"
            raise CheckpointError(msg)
        try:
            kept = document["kept_from"]
            return cls(
                tenant=str(document["tenant"]),
                number=int(document["number"]),
                time=datetime.fromisoformat(document["time"]),
                previous=str(document["previous"]),
                heads=tuple(Head(str(stream), int(seq), str(hash_)) for stream, seq, hash_ in document["heads"]),
                events=int(document["events"]),
                kept_from=None if kept is None else datetime.fromisoformat(kept),
                key_id=str(document["key_id"]),
            )
        except (TypeError, ValueError) as error:
            msg = f"a field of a checkpoint cannot be read: {error}"
            raise CheckpointError(msg) from error


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and its signature.

    Attributes:
        signature: hex digits of Ed25519 over the checkpoint's text.
    """

    checkpoint: Checkpoint
    signature: str

    def as_json(self) -> dict[str, Any]:
        """Return both as they are published."""
        return {"checkpoint": self.checkpoint.as_json(), "signature": self.signature}

    def line(self) -> str:
        """Return both as a line of a file, without the line's end."""
        return json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def of_json(cls, document: object) -> Signed:
        """Return what was published.

        Raises:
            CheckpointError: it is none.
        """
        if not isinstance(document, Mapping) or set(document) != {"checkpoint", "signature"}:
            msg = "a signed checkpoint is an object with the fields checkpoint and signature"
            raise CheckpointError(msg)
        if not isinstance(document["checkpoint"], Mapping):
            msg = "the checkpoint is no object"
            raise CheckpointError(msg)
        return cls(Checkpoint.of_json(document["checkpoint"]), str(document["signature"]))

    @classmethod
    def of_line(cls, line: str) -> Signed:
        """Return what a line of a file holds.

        Raises:
            CheckpointError: it holds none.
        """
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            msg = f"no JSON: {error}"
            raise CheckpointError(msg) from error
        return cls.of_json(document)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

"""Which keys sign, and the change from one to the next; each change is a control event and stays on record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server.audit import outbox, signing, table
from spanhouse_server.audit.signing import PublicKey


def register(engine: Engine, key: PublicKey, now: datetime) -> None:
    """Keep a public key on record before it signs; one that replaces others without their word is told of."""
    known = table.keys(engine)
    if any(each.id == key.id for each in known):
        return
    with engine.begin() as connection:
        if table.add_key(connection, key, now) and known:
            said = {"key_id": key.id, "public_key": key.pem, "by": "file"}
            outbox.note(connection, "audit.key", said, tenant=DEFAULT_TENANT, at=now)


def rotate(engine: Engine, path: Path, by: str, now: datetime) -> PublicKey:
    """Replace the signing key by a new one that it vouches for, and return that; what the old one signed stays good.

    The old private key is gone afterwards: nobody can sign with it again.

    Raises:
        ConfigurationError: the key's file cannot be read or written.
    """
    old, new = signing.load(path), signing.make()
    certified = old.certified(new.public)
    draft = path.with_name(f"{path.name}.next")
    signing.write(draft, new)
    with engine.begin() as connection:
        table.add_key(connection, old.public, now)
        table.add_key(connection, certified, now)
        said = {"key_id": certified.id, "public_key": certified.pem, "certified_by": certified.certified_by, "by": by}
        outbox.note(connection, "audit.key", said, tenant=DEFAULT_TENANT, at=now)
    draft.replace(path)
    return certified

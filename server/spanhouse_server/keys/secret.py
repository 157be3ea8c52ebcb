"""The text of a key: ``shk_<id>_<secret>``. The id finds the key, the secret proves it, and only its hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import Final

PREFIX: Final = "shk_"
ID_LENGTH: Final = 8

_ALPHABET: Final = string.ascii_lowercase + string.digits
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{PREFIX}([a-z0-9]{{{ID_LENGTH}}})_([A-Za-z0-9_-]{{43}})")


def make() -> tuple[str, str]:
    """Return a new key's id and its text, which holds 256 random bits."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def id_of(text: str) -> str | None:
    """Return the id in a key's text, None where the text is no key."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def digest(text: str) -> str:
    """Return what is kept of a key. A fast hash is enough: nobody can try 2**256 secrets."""
    return hashlib.sha256(text.encode()).hexdigest()


def proves(text: str, kept: str) -> bool:
    """Return whether a key's text is the one of which this was kept, in time that says nothing about either."""
    return hmac.compare_digest(digest(text), kept)

"""The key that signs checkpoints: made once in a file only its owner can read, replaced by one that it vouches for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spanhouse.errors import ConfigurationError

FILE_NAME: Final = "audit.key"
_CERTIFIES: Final = "spanhouse audit key "
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What verifies signatures.

    Attributes:
        pem: the key as text, as it is published.
        certified_by: id of the key it replaced, which vouches for it; empty for one that stands alone.
        certificate: that key's signature over this one.
    """

    pem: str
    certified_by: str = ""
    certificate: str = ""

    @property
    def id(self) -> str:
        """16 hex digits of SHA-256 over the raw key."""
        return hashlib.sha256(_raw(self._key())).hexdigest()[:16]

    def as_json(self) -> dict[str, str | None]:
        """Return the key as it is published."""
        return {
            "key_id": self.id,
            "public_key": self.pem,
            "certified_by": self.certified_by or None,
            "certificate": self.certificate or None,
        }

    @classmethod
    def of_json(cls, document: Mapping[str, str | None]) -> Self:
        """Return what was published.

        Raises:
            ValueError: it is no Ed25519 key.
        """
        key = cls(document["public_key"] or "", document.get("certified_by") or "", document.get("certificate") or "")
        key._key()
        return key

    def verifies(self, text: str, signature: str) -> bool:
        """Whether the signature, hex digits, is this key's over the text."""
        try:
            self._key().verify(bytes.fromhex(signature), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True

    def vouches_for(self, other: PublicKey) -> bool:
        """Whether the other key was certified by this one."""
        return other.certified_by == self.id and self.verifies(f"{_CERTIFIES}{other.id}", other.certificate)

    def _key(self) -> Ed25519PublicKey:
        key = serialization.load_pem_public_key(self.pem.encode())
        if not isinstance(key, Ed25519PublicKey):
            msg = f"the key is {type(key).__name__}, not Ed25519"
            raise ValueError(msg)  # noqa: TRY004 - whoever reads keys expects one kind of error
        return key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """Its public half, certified by nobody."""
        pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return PublicKey(pem.decode())

    def sign(self, text: str) -> str:
        """Return the signature over a text, hex digits."""
        return self.private.sign(text.encode()).hex()

    def certified(self, key: PublicKey) -> PublicKey:
        """Return another key, vouched for by this one."""
        return PublicKey(key.pem, self.public.id, self.sign(f"{_CERTIFIES}{key.id}"))


def make() -> SigningKey:
    """Return a new key, kept nowhere yet."""
    return SigningKey(Ed25519PrivateKey.generate())


def ensure(path: Path) -> SigningKey:
    """Return the key of a file, made where there is none.

    Raises:
        ConfigurationError: the file cannot be read or made, or holds no Ed25519 key.
    """
    if not path.exists():
        write(path, make())
    return load(path)


def load(path: Path) -> SigningKey:
    """Return the key of a file.

    Raises:
        ConfigurationError: the file cannot be read, or holds no Ed25519 key.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        msg = f"the audit key {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except (ValueError, TypeError) as error:
        msg = f"{path} holds no private key in PEM without a password: restore it, or move it away for a new one"
        raise ConfigurationError(msg) from error
    if not isinstance(key, Ed25519PrivateKey):
        msg = f"the audit key {path} is of another kind than Ed25519: name another with SPANHOUSE_AUDIT_KEY"
        raise ConfigurationError(msg)
    return SigningKey(key)


def write(path: Path, key: SigningKey) -> None:
    """Put a key into a file, whole or not at all, for its owner alone.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    pem = key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        msg = f"the audit key {path} cannot be written: {error.strerror}"
        raise ConfigurationError(msg) from error


def read_public(text: str) -> list[PublicKey]:
    """Return the public keys of a PEM text, one or more.

    Raises:
        ValueError: it holds none, or one that is not Ed25519.
    """
    found: list[PublicKey] = []
    for part in text.split(_BEGIN)[1:]:
        pem = f"{_BEGIN}{part.split(_END)[0]}{_END}\n"
        found.append(PublicKey.of_json({"public_key": pem}))
    if not found:
        msg = f"it holds no {_BEGIN}"
        raise ValueError(msg)
    return found


def trusted(anchors: Iterable[PublicKey], known: Iterable[PublicKey]) -> dict[str, PublicKey]:
    """Return by id the keys to be trusted: the anchors, and of those known whoever a trusted one vouches for."""
    found = {key.id: key for key in anchors}
    waiting = [key for key in known if key.id not in found]
    while fresh := [key for key in waiting if key.certified_by in found and found[key.certified_by].vouches_for(key)]:
        found.update({key.id: key for key in fresh})
        waiting = [key for key in waiting if key.id not in found]
    return found


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

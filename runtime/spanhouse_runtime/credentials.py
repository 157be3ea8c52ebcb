"""Credentials by name: resolved for a tenant and an environment, given to a tool's function and to nobody else."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from spanhouse.errors import SpanhouseError

SHORTEST: Final = 4
"""A shorter credential could not be cut out of results without cutting words apart."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_TENANT: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CUT: Final = "[REDACTED:credential]"


class SecretMissing(SpanhouseError):  # noqa: N818 - what happened
    """There is no credential of this name for the tenant and environment. Names what is missing, never a value."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a parameter as a credential: ``token: Annotated[str, Secret("crm_token")]``.

    The model never sees the parameter. A parameter of type ``pydantic.SecretStr`` is given one.
    """

    name: str


class Secrets(Protocol):
    """Knows credentials by name. May block; what it raises fails the call."""

    def resolve(self, name: str, *, tenant: str, environment: str) -> str:
        """Return the credential.

        Raises:
            SecretMissing: there is none.
        """


class EnvSecrets:
    """Credentials from environment variables named ``TENANT__ENVIRONMENT__NAME``: ``ACME__PROD__CRM_TOKEN``.

    Tenants and environments are lower-case letters, digits and single dashes, where a dash is written as ``_``: two
    tenants never share a variable. Without an environment the name is ``TENANT__NAME``.

    >>> EnvSecrets({"ACME__PROD__CRM_TOKEN": "s3cret"}).resolve("crm_token", tenant="acme", environment="prod")
    's3cret'

    Args:
        variables: where to look; the process's environment where not given.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def resolve(self, name: str, *, tenant: str, environment: str) -> str:
        """Return the credential.

        Raises:
            SecretMissing: the variable is not set, or a tenant's name has no variable of its own.
        """
        parts = [part for part in (tenant, environment) if part]
        for part in parts:
            if not _TENANT.fullmatch(part):
                msg = f"{part!r} cannot be part of a variable's name: use lower-case letters, digits and single dashes"
                raise SecretMissing(msg)
        variable = "__".join([*(part.replace("-", "_") for part in parts), _checked(name)]).upper()
        found = self._variables.get(variable, "")
        return _usable(found, name, tenant, environment, f"the variable {variable}")


class FileSecrets:
    """Credentials from files ``<directory>/<tenant>/<environment>/<name>``, as secret mounts lay them out.

    A line end at the end of a file is not part of the credential. Files are read at every call, so that a credential
    that is replaced is used from the next call on.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)

    def resolve(self, name: str, *, tenant: str, environment: str) -> str:
        """Return the credential.

        Raises:
            SecretMissing: there is no such file, or a name that could lead out of the directory.
        """
        path = self._directory.joinpath(*(_checked(part) for part in (tenant, environment, name) if part))
        try:
            found = path.read_text("utf-8").rstrip("\r\n")
        except OSError:
            found = ""
        return _usable(found, name, tenant, environment, f"the file {path}")


def cut_out(text: str, values: Iterable[str]) -> str:
    """Return the text without the credentials: as they are, and as JSON, Python, URLs and base64 write them."""
    for value in values:
        for form in _forms(value):
            text = text.replace(form, _CUT)
    return text


def _forms(value: str) -> tuple[str, ...]:
    """Return how a value may be written, the longest first, so that none leaves a rest of another."""
    plain = {value, repr(value)[1:-1]}
    # JSON in JSON, and no deeper: what wraps an answer once more is the tool's own doing.
    for _ in range(2):
        plain |= {json.dumps(form, ensure_ascii=escaped)[1:-1] for form in plain for escaped in (True, False)}
    encoded = {quote(value, safe=""), quote(value), base64.b64encode(value.encode()).decode()}
    return tuple(sorted(plain | encoded | {base64.urlsafe_b64encode(value.encode()).decode()}, key=len, reverse=True))


def _checked(part: str) -> str:
    if not _NAME.fullmatch(part):
        msg = f"{part!r} cannot name a credential's place: use letters, digits, dashes and underscores"
        raise SecretMissing(msg)
    return part


def _usable(found: str, name: str, tenant: str, environment: str, place: str) -> str:
    whose = f"tenant {tenant!r} in environment {environment!r}" if environment else f"tenant {tenant!r}"
    if not found:
        msg = f"there is no credential {name!r} for {whose}: set {place}"
        raise SecretMissing(msg)
    if len(found) < SHORTEST:
        msg = f"the credential {name!r} for {whose} is shorter than {SHORTEST} characters: replace {place}"
        raise SecretMissing(msg)
    return found

"""The last control flags on disk, with when they were heard: what an agent starts with while its server is silent."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spanhouse.notices import warn_once

EVERY_SECONDS: Final = 1.0
"""How often what was heard is written where the flags are the same: their age on disk is off by no more than this."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """Flags as the API sent them, and the seconds since they were heard."""

    flags: Sequence[Mapping[str, Any]]
    age: float


def default_path(source: object, environ: Mapping[str, str]) -> Path | None:
    """Return where the flags of a client's server are kept; None for a source that is no client, or where it is off."""
    account = getattr(source, "account", "")
    if not isinstance(account, str) or not account:
        return None
    named = environ.get("SPANHOUSE_CONTROL_CACHE")
    if named is not None and not named:
        return None
    base = Path(named) if named else Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spanhouse"
    return base / f"control-{account}.json"


class FlagCache:
    """One file with flags; reading and writing never raise, since an agent must not end for want of a cache.

    Args:
        path: the file; its directory is made, open to its owner alone.
        now: the wall clock, in seconds since 1970: ages are measured over restarts.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path, self._now = path, now
        self._written: tuple[Sequence[Mapping[str, Any]], float] | None = None

    def read(self) -> Kept | None:
        """Return what was kept; None where there is nothing, it is damaged, or it comes from the future."""
        try:
            if hasattr(os, "getuid") and self._path.stat().st_uid != os.getuid():
                warn_once("control.cache", f"{self._path} belongs to another user and is not read")
                return None
            document = json.loads(self._path.read_bytes())
            flags, heard = document["flags"], float(document["heard_at"])
            known = document["version"] == _VERSION and isinstance(flags, list)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            warn_once("control.cache", f"the kept control flags in {self._path} cannot be read: {error}")
            return None
        age = self._now() - heard
        # A clock that was set back cannot say how old they are, and news of unknown age is none.
        return Kept(flags, age) if known and age >= 0 else None

    def write(self, flags: Sequence[Mapping[str, Any]]) -> None:
        """Keep flags that were heard now."""
        now = self._now()
        if self._written is not None and self._written[0] is flags and 0 <= now - self._written[1] < EVERY_SECONDS:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made 0600 under a name of its own, then moved: who reads sees the one or the other, never half of it.
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump({"version": _VERSION, "heard_at": now, "flags": list(flags)}, file)
                os.replace(name, self._path)  # noqa: PTH105 - a name, not a path
            except BaseException:
                os.unlink(name)  # noqa: PTH108 - a name, not a path
                raise
        except OSError as error:
            warn_once("control.cache", f"control flags cannot be kept in {self._path}: {error}")
            return
        self._written = (flags, now)

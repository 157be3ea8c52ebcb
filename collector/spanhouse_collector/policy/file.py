"""The policy file on disk: read strictly, read again when it changes, the last good one kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from spanhouse.errors import ConfigurationError
from spanhouse_collector.policy.model import Policy

_MAX_BYTES: Final = 256 << 10
_LOOK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class PolicyError(ConfigurationError):
    """The policy cannot be used; the message says where and why."""


def read(text: str) -> Policy:
    """Return the policy in a YAML text; an empty text is the policy of a server without a file.

    Raises:
        PolicyError: it is no policy.
    """
    if len(text.encode()) > _MAX_BYTES:
        msg = f"the policy is larger than {_MAX_BYTES} bytes"
        raise PolicyError(msg)
    try:
        # An alias can make a few bytes mean millions, and no policy needs one.
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                msg = f"alias *{event.anchor}: aliases are not read, write it out"
                raise PolicyError(msg)
        return Policy.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        msg = f"no valid YAML: {' '.join(str(error).split())}"
        raise PolicyError(msg) from error
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}"
            for each in error.errors(include_url=False)
        )
        raise PolicyError(found) from error


class PolicyFile:
    """The policy as it stands in a file now; safe for threads.

    Args:
        path: the file; one that does not exist when first looked for is an empty policy.
        clock: monotonic seconds; the file is looked at once a second at most.

    Raises:
        PolicyError: the file is there and cannot be used.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._policy = self._load() if self._seen else Policy()
        self._looked = clock()
        self.problem = ""

    def current(self) -> Policy:
        """Return the policy; after a change that cannot be used the one before it, with `problem` saying why."""
        with self._lock:
            now = self._clock()
            if now - self._looked >= _LOOK_SECONDS:
                self._looked = now
                stamp = self._stamp()
                if stamp != self._seen:
                    self._seen = stamp
                    self._take()
            return self._policy

    def is_refused(self) -> bool:
        """Return whether the file as it stands cannot be used."""
        self.current()
        return bool(self.problem)

    def _take(self) -> None:
        try:
            self._policy = self._load()
        except PolicyError as error:
            self.problem = str(error)
            _log.error("%s; the policy from before holds until the file is mended", error)
        else:
            self.problem = ""
            _log.warning("%s was read again and holds from now on", self._path)

    def _load(self) -> Policy:
        try:
            return read(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"policy file {self._path} cannot be read: {error}"
            raise PolicyError(msg) from error
        except PolicyError as error:
            msg = f"policy file {self._path}: {error}"
            raise PolicyError(msg) from error

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

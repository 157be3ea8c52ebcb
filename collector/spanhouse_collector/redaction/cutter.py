"""One tenant's secrets cut out of one text."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from functools import partial
from typing import Final

import polars as pl

from spanhouse.detectors import DETECTORS
from spanhouse.redaction import cut
from spanhouse.secret_members import MEMBER
from spanhouse.secret_names import reveals
from spanhouse_collector.policy.model import Effective, Mode, Pattern
from spanhouse_collector.redaction.settings import Redaction

ATTRIBUTE: Final = "attribute"
"""Kind under which a value is counted that an attribute rule took."""
_DIGEST: Final = 16


class Cutters:
    """The cutters of all tenants under one way to redact."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._known: dict[str, Cutter] = {}

    def of(self, tenant: str) -> Cutter:
        """Return the tenant's cutter."""
        # Tenants that the file does not name share one, so that senders cannot fill the memory.
        name = tenant if tenant in self._redaction.policy.tenants else ""
        if name not in self._known:
            self._known[name] = Cutter(self._redaction.policy.of(name), self._redaction.key)
        return self._known[name]


class Cutter:
    """Cuts what a tenant does not want stored out of its texts.

    Args:
        rules: what holds for the tenant.
        key: secret of the hashes.
    """

    def __init__(self, rules: Effective, key: bytes) -> None:
        self.rules = rules
        self._key = key
        self._detectors = [each for each in DETECTORS if rules.detectors.get(each.kind) is not Mode.OFF]
        self._dropping = {kind for kind, mode in rules.detectors.items() if mode is Mode.DROP}
        self._globs = [(_expression(glob), mode) for glob, mode in rules.attributes.items()]

    def text(self, text: str, *, joinable: bool = False) -> tuple[str, Counter[str]]:
        """Return the text without secrets and how many of each kind were cut out.

        Args:
            text: any text.
            joinable: hash what would be masked, because the text is an identity that must stay one of its own.
        """
        text, found = cut(text, partial(self._mark, joinable=joinable), self._detectors)
        for kind in self._dropping & found.keys():
            return f"[REDACTED:{kind}]", found
        for name, pattern in self.rules.patterns.items():
            text = self._cut_pattern(name, pattern, text, found, joinable=joinable)
        return text, found

    def named(self, name: str, text: str, *, joinable: bool = False) -> tuple[str, Counter[str]]:
        """Return an attribute's text without secrets; all of it goes where its name says that it is one."""
        if self.rules.detectors.get(MEMBER) is not Mode.OFF and reveals(name, text):
            return self._mark(MEMBER, text, joinable=joinable), Counter({MEMBER: 1})
        return self.text(text, joinable=joinable)

    def rule(self, key: str) -> Mode | None:
        """Return what an attribute rule says about a key; the first one in the file that fits."""
        return next((mode for glob, mode in self._globs if glob.fullmatch(key)), None)

    def ruled(self, text: str, mode: Mode) -> str:
        """Return what stands for a value that an attribute rule masks or hashes."""
        return self._mark(ATTRIBUTE, text, joinable=mode is Mode.HASH)

    def _cut_pattern(self, name: str, pattern: Pattern, text: str, found: Counter[str], *, joinable: bool) -> str:
        matches = pl.Series([text]).str.extract_all(pattern.match).to_list()[0]
        if not matches:
            return text
        found[name] += len(matches)
        if pattern.mode is Mode.DROP:
            return f"[REDACTED:{name}]"
        pieces: list[str] = []
        rest = text
        for match in matches:
            before, _, rest = rest.partition(match)
            pieces += (before, self._mark(name, match, joinable=joinable or pattern.mode is Mode.HASH))
        return "".join([*pieces, rest])

    def _mark(self, kind: str, secret: str, *, joinable: bool = False) -> str:
        if not joinable and self.rules.detectors.get(kind) is not Mode.HASH:
            return f"[REDACTED:{kind}]"
        digest = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"[REDACTED:{kind}:{digest[:_DIGEST]}]"


def _expression(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")), re.DOTALL)

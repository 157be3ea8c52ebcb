"""Redaction around its two places: before the journal where a tenant wants it, before the store always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from spanhouse_collector import wire
from spanhouse_collector.records import Normalised, RawRecord
from spanhouse_collector.redaction.cutter import Cutter, Cutters
from spanhouse_collector.redaction.gate import Gate
from spanhouse_collector.redaction.requests import Found, rewrite
from spanhouse_collector.redaction.settings import Redaction
from spanhouse_collector.redaction.sieve import Sieve
from spanhouse_collector.tenancy import TENANT_KEYS

Normalise: TypeAlias = Callable[[Sequence[RawRecord]], Normalised]


class BeforeStore:
    """Normalises records so that what their tenants do not want stored is in none of the rows."""

    def __init__(self, normalise: Normalise, redaction: Redaction) -> None:
        self._normalise = normalise
        self._gate = Gate(redaction)
        self._keys = [_literal(glob) for rules in redaction.policy.effective() for glob in rules.attributes]

    def __call__(self, records: Sequence[RawRecord]) -> Normalised:
        """Return the rows of the records, redacted.

        Raises:
            DecodeError: as `normalise`.
        """
        taken: Found = Counter()
        ready = [self._ruled(record, taken) for record in records] if self._keys else records
        found = self._gate(self._normalise(ready))
        return replace(found, redacted=found.redacted + taken) if taken else found

    def _ruled(self, record: RawRecord, taken: Found) -> RawRecord:
        if not any(literal in record.body for literal in self._keys):
            return record
        body, found = rewrite(record.signal, record.body, record.tenant, self._gate.cutters.of, secrets=False)
        taken.update(found)
        return replace(record, body=body) if found else record


class BeforeJournal:
    """Rewrites requests of tenants that want no secret in the journal either."""

    def __init__(self, redaction: Redaction) -> None:
        self._policy, self._cutters = redaction.policy, Cutters(redaction)
        rules = self._policy.effective()
        self._sieve = Sieve(rules)
        self._any_ruled = any(each.attributes for each in rules)
        self._everybody = self._policy.of("").redact_before_journal
        self._tenants = [name for name in self._policy.tenants if self._policy.of(name).redact_before_journal]

    def __call__(self, record: RawRecord) -> tuple[RawRecord, Found]:
        """Return the record as the journal may hold it, and what was taken out of it.

        Raises:
            DecodeError: the body is no request.
        """
        if not self._concerns(record) or not (self._any_ruled or self._sieve.body(record.body)):
            return record, Counter()
        body, found = rewrite(record.signal, record.body, record.tenant, self._cutters.of, secrets=True)
        return replace(record, body=body) if found else record, found

    def _concerns(self, record: RawRecord) -> bool:
        # A request that holds records of one such tenant is rewritten whole, each record by its own tenant's rules.
        if self._policy.of(record.tenant).redact_before_journal:
            return True
        if not (self._everybody or self._tenants) or not any(key.encode() in record.body for key in TENANT_KEYS):
            return False
        return self._everybody or any(name.encode() in record.body for name in self._tenants)


def kept_aside(record: RawRecord, redaction: Redaction) -> bytes:
    """Return of a request that cannot be stored what may be kept for a person to look at: secrets cut out.

    Nothing is kept where nobody can read it, or where one of its tenants wants no content stored.
    """
    cutters, asked = Cutters(redaction), [redaction.policy.of(record.tenant)]

    def cutter_of(tenant: str) -> Cutter:
        asked.append(redaction.policy.of(tenant))
        return cutters.of(tenant)

    try:
        body, _ = rewrite(record.signal, record.body, record.tenant, cutter_of, secrets=True)
    except wire.DecodeError:
        return b""
    return body if all(rules.capture_content for rules in asked) else b""


def _literal(glob: str) -> bytes:
    return max(glob.split("*"), key=len).encode()

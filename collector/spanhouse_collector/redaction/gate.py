"""The last thing before the store: every text of every row without the secrets its tenant does not want stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse import attributes as own
from spanhouse.secret_names import names_secret
from spanhouse_collector.records import Normalised
from spanhouse_collector.redaction.capture import without_content
from spanhouse_collector.redaction.cutter import Cutters
from spanhouse_collector.redaction.maps import FlatMap, replaced
from spanhouse_collector.redaction.settings import Redaction
from spanhouse_collector.redaction.sieve import Sieve
from spanhouse_storage.payload import REFERENCES

_MADE_HERE: Final = frozenset(
    {
        *("tenant", "trace_id", "span_id", "parent_span_id", "record_id", "span_class", "span_kind", "convention"),
        *("status", "error_type", "cost_source", "price_version", "clamped", "type", "temporality"),
    }
)
"""Columns whose texts come from closed lists or are ids in hex; the tenant is the key's to say."""
_JOINED: Final = frozenset({"run_hint", "request_id", "session_id", "user_id", "stream", "run_id", "tool_call_id"})
"""Identities: what is cut out of them leaves a hash, or different ones would become one."""
_COUNTED: Final = frozenset({"spans", "logs"})
"""Tables whose rows say in their attributes how many secrets were cut out of them."""

Found = Counter[tuple[str, str]]
"""(tenant, kind) -> secrets."""


class Gate:
    """Redacts normalised batches by one policy."""

    def __init__(self, redaction: Redaction) -> None:
        self.cutters = Cutters(redaction)
        rules = redaction.policy.effective()
        self._sieve = Sieve(rules)
        self._captures = all(each.capture_content for each in rules)

    def __call__(self, normalised: Normalised) -> Normalised:
        """Return the batch without secrets, and without content where its tenant wants none stored."""
        found: Found = Counter()
        tables = {name: self._table(name, rows, found) for name, rows in normalised.tables.items()}
        return replace(normalised, tables=tables, redacted=found)

    def _table(self, name: str, rows: pa.Table, found: Found) -> pa.Table:
        if not rows.num_rows:
            return rows
        # Chunk by chunk: to make one of them would cost a copy of everything.
        pieces = [pa.Table.from_batches([batch]) for batch in rows.to_batches() if batch.num_rows]
        return pa.concat_tables([self._piece(name, piece, found) for piece in pieces])

    def _piece(self, name: str, rows: pa.Table, found: Found) -> pa.Table:
        if not self._captures:
            off = [not self.cutters.of(tenant).rules.capture_content for tenant in rows["tenant"].to_pylist()]
            rows = without_content(name, rows, np.array(off, np.bool_))
        changed = _Changes(rows)
        looked_at = [field for field in rows.schema if field.name not in _MADE_HERE]
        plain = [_Plain(field.name, _one(rows[field.name])) for field in looked_at if _is_plain(field.type)]
        maps = {field.name: FlatMap(_one(rows[field.name])) for field in looked_at if pa.types.is_map(field.type)}
        keys = [pc.unique(flat.keys) for flat in maps.values()]
        # Everything in one go, for each look has a price of its own.
        texts = [*(each.texts for each in plain), *(flat.items for flat in maps.values()), *keys]
        candidates = iter(self._sieve.columns(texts))
        for each in plain:
            new = self._texts(each.texts, next(candidates), each.rows, changed, joinable=each.name in _JOINED)
            if new is not each.texts:
                changed.columns[each.name] = each.column_of(new)
        items = [next(candidates) for _ in maps]
        for column, distinct, among_items, among_keys in zip(maps, keys, items, candidates, strict=True):
            flat = maps[column]
            if self._map(flat, distinct.to_pylist(), among_items, among_keys, changed):
                changed.columns[column] = flat.array()
        found.update(changed.found)
        return changed.table(counted=name in _COUNTED)

    def _texts(
        self,
        texts: pa.Array,
        candidates: np.ndarray,
        rows: Callable[[], np.ndarray],
        changed: _Changes,
        *,
        joinable: bool = False,
    ) -> pa.Array:
        positions, values = [], []
        row_of = rows() if len(candidates) else np.empty(0, np.int64)
        for position in candidates.tolist():
            tenant = changed.tenant(row_of[position])
            text, kinds = self.cutters.of(tenant).text(texts[position].as_py(), joinable=joinable)
            if kinds:
                changed.note(row_of[position], tenant, kinds)
                positions.append(position)
                values.append(text)
        return replaced(texts, positions, values) if positions else texts

    def _map(
        self, flat: FlatMap, distinct: list[str], among_items: np.ndarray, among_keys: np.ndarray, changed: _Changes
    ) -> bool:
        candidates = set(among_items.tolist())
        candidates.update(np.flatnonzero(flat.with_key([key for key in distinct if names_secret(key)])).tolist())
        keys = flat.keys
        if len(among_keys):
            keys = self._texts(keys, self._sieve.texts(keys), flat.rows, changed)
        positions, values = [], []
        rows = flat.rows() if candidates else np.empty(0, np.int64)
        for position in sorted(candidates):
            said = flat.items[position].as_py()
            tenant = changed.tenant(rows[position])
            text, kinds = self.cutters.of(tenant).named(flat.keys[position].as_py(), said)
            if kinds and said not in REFERENCES:
                changed.note(rows[position], tenant, kinds)
                positions.append(position)
                values.append(text)
        touched = bool(positions) or keys is not flat.keys
        flat.keys = keys
        if positions:
            flat.items = replaced(flat.items, positions, values)
        return touched


class _Plain:
    """A column of strings, or of lists of strings, as flat texts."""

    def __init__(self, name: str, column: pa.Array) -> None:
        self.name = name
        self._column = column
        self._listed = pa.types.is_list(column.type)
        self.texts: pa.Array = column.flatten() if self._listed else column

    def rows(self) -> np.ndarray:
        """Return the row of every text."""
        if not self._listed:
            return np.arange(len(self.texts))
        rows: np.ndarray = pc.list_parent_indices(self._column).to_numpy()
        return rows

    def column_of(self, texts: pa.Array) -> pa.Array:
        """Return the column with other texts in the places of its own."""
        if not self._listed:
            return texts
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(pc.list_value_length(self._column).to_numpy())])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), texts, self._column.type)


class _Changes:
    """The columns of one table that changed, and how many secrets each row lost."""

    def __init__(self, rows: pa.Table) -> None:
        self.columns: dict[str, pa.Array] = {}
        self.found: Found = Counter()
        self._rows = rows
        self._tenants = rows["tenant"]
        self._by_row: Counter[int] = Counter()

    def tenant(self, row: int) -> str:
        tenant: str = self._tenants[int(row)].as_py()
        return tenant

    def note(self, row: int, tenant: str, kinds: Mapping[str, int]) -> None:
        self._by_row[int(row)] += sum(kinds.values())
        for kind, count in kinds.items():
            self.found[tenant, kind] += count

    def table(self, *, counted: bool) -> pa.Table:
        if counted and self._by_row:
            self.columns["attributes"] = self._counted()
        rows = self._rows
        for name, column in self.columns.items():
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
        return rows

    def _counted(self) -> pa.Array:
        # What was cut out before, by the SDK or before the journal, counts too.
        flat = FlatMap(self.columns.get("attributes", _one(self._rows["attributes"])))
        entry_rows = flat.rows()
        for entry in np.flatnonzero(flat.with_key([own.REDACTED])).tolist():
            before, row = flat.items[entry].as_py(), int(entry_rows[entry])
            if row in self._by_row and before.isdigit():
                self._by_row[row] += int(before)
        numbers = sorted(self._by_row)
        flat.put(own.REDACTED, np.array(numbers, np.int64), [str(self._by_row[row]) for row in numbers])
        return flat.array()


def _is_plain(type_: pa.DataType) -> bool:
    plain: bool = pa.types.is_string(type_.value_type if pa.types.is_list(type_) else type_)
    return plain


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)

"""The schema of one server, rewritten for a cluster: replicated tables on every shard, and one table over them.

Every table `t` becomes `t_local`, which holds a shard's rows, and `t`, which is what statements name. All versions of a
row share a shard, because the shard follows from the row's identity; so `FINAL` over `t` is exact, and an insert sent
again with its token is split as before and recognised by each shard. Pure: text in, text out.
"""

from __future__ import annotations

import re
from typing import Final

LOCAL: Final = "_local"

SHARD_KEYS: Final = {
    "spans": "cityHash64(trace_id)",
    "messages": "cityHash64(trace_id)",
    "logs": "cityHash64(if(trace_id = '', record_id, trace_id))",
    "audit_events": "cityHash64(stream)",
    "runs": "cityHash64(run_id)",
    "steps": "cityHash64(run_id)",
    "scores": "cityHash64(score_id)",
    "metric_points": "series",
    "ledger": "cityHash64(token)",
    "deletions": "cityHash64(deletion_id)",
    "schema_migrations": "number",
}
"""What decides a row's shard: a whole trace, trail, run or series on one. Others go by their whole sorting key."""

SETTINGS: Final = {
    # The answer to an insert means that every shard has its part; the token travels with each.
    "distributed_foreground_insert": 1,
    "insert_distributed_one_random_shard": 0,
    # A subquery over another table is asked once and sent to the shards, instead of being refused.
    "distributed_product_mode": "global",
    "prefer_localhost_replica": 1,
}
"""Settings of every statement against a cluster."""

_NOT_REPLICATED: Final = (
    "non_replicated_deduplication_window",
    "old_parts_lifetime",
    "cleanup_delay_period",
    "max_cleanup_delay_period",
    "cleanup_delay_period_random_add",
)
"""Settings of a table that only the embedded engine needs."""

_COMMENT: Final = re.compile(r"--[^\n]*")
_CREATE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (\w+)\s*(\(.*\))\s*ENGINE\s*=\s*(\w+)(?:\(([^)]*)\))?(.*)", re.DOTALL
)
_ALTER: Final = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_PLAIN: Final = re.compile(r"(OPTIMIZE TABLE|TRUNCATE TABLE|DELETE FROM) (?:IF EXISTS )?(\w+)(.*)", re.DOTALL)
_DROP: Final = re.compile(r"DROP TABLE (IF EXISTS )?(\w+)(.*)", re.DOTALL)
_ORDER: Final = re.compile(r"ORDER BY\s+(\((?:[^()]|\([^()]*\))*\)|\w+)")
_COLUMNS: Final = re.compile(r"\b(?:ADD|DROP|MODIFY|RENAME|CLEAR) COLUMN\b")


def statements(statement: str, cluster: str, database: str) -> list[str]:
    """Return what stands for a statement on a cluster, in order; none where nothing is to be done."""
    plain = _COMMENT.sub("", statement).strip()
    if created := _CREATE.fullmatch(plain):
        table, columns, engine, arguments, rest = created.groups()
        return _create(table, columns, engine, arguments or "", rest, cluster, database)
    if altered := _ALTER.fullmatch(plain):
        return _alter(altered[1], altered[2], cluster, database)
    if simple := _PLAIN.fullmatch(plain):
        return [f"{simple[1]} {simple[2]}{LOCAL} ON CLUSTER {cluster}{simple[3]}"]
    if dropped := _DROP.fullmatch(plain):
        exists, table, rest = dropped[1] or "", dropped[2], dropped[3]
        return [f"DROP TABLE {exists}{name} ON CLUSTER {cluster}{rest}" for name in (table, table + LOCAL)]
    return [statement]


def distributed(
    table: str, shard_key: str, cluster: str, database: str, how: str = "CREATE TABLE IF NOT EXISTS"
) -> str:
    """Return the statement that makes the table over all shards."""
    over = f"Distributed('{cluster}', '{database}', '{table}{LOCAL}', {shard_key})"
    return f"{how} {table} ON CLUSTER {cluster} AS {table}{LOCAL} ENGINE = {over}"


def _create(table: str, columns: str, engine: str, arguments: str, rest: str, cluster: str, database: str) -> list[str]:
    # The path names database and table rather than an id, so that a replica added later finds its fellows.
    path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    with_path = ", ".join(part for part in (path, arguments.strip()) if part)
    body = f"{columns}\nENGINE = Replicated{engine}({with_path}){_replicated_settings(rest)}"
    local = f"CREATE TABLE IF NOT EXISTS {table}{LOCAL} ON CLUSTER {cluster}\n{body}"
    return [local, distributed(table, _shard_key(table, rest), cluster, database)]


def _alter(table: str, change: str, cluster: str, database: str) -> list[str]:
    if change.startswith("MODIFY SETTING"):
        given = [each.strip() for each in change.removeprefix("MODIFY SETTING").split(",")]
        kept = [each for each in given if each.split("=")[0].strip() not in _NOT_REPLICATED]
        if not kept:
            return []
        change = f"MODIFY SETTING {', '.join(kept)}"
    local = f"ALTER TABLE {table}{LOCAL} ON CLUSTER {cluster} {change}"
    if not _COLUMNS.search(change):
        return [local]
    # The table over the shards has no data of its own, so it is made anew with the columns of the others.
    key = SHARD_KEYS.get(table)
    if key is None:
        msg = f"table {table} has no shard key in cluster.SHARD_KEYS, and a change of its columns needs one"
        raise ValueError(msg)
    return [local, distributed(table, key, cluster, database, "CREATE OR REPLACE TABLE")]


def _replicated_settings(rest: str) -> str:
    renamed = rest.replace("non_replicated_deduplication_window", "replicated_deduplication_window")
    return renamed.rstrip()


def _shard_key(table: str, rest: str) -> str:
    if table in SHARD_KEYS:
        return SHARD_KEYS[table]
    order = _ORDER.search(rest)
    if order is None:
        msg = f"table {table} has no ORDER BY, so nothing says on which shard a row belongs"
        raise ValueError(msg)
    return f"cityHash64({order[1].strip('()') if order[1].count('(') == 1 else order[1]})"

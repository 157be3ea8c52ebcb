"""From a person's statement to one that may run: parsed, checked node by node, its tables named in full, written anew.

Only what is written here runs, never the text that came. What is not known to be harmless is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from spanhouse_server.sql import allowed, text
from spanhouse_server.sql.refusal import StatementRefusedError

DIALECT: Final = "clickhouse"
SYSTEM: Final = "system"
MOST_NUMBERS: Final = 1_000_000
_NAME: Final = re.compile(r"^[^\\\"'`;\x00-\x1f\x7f]{1,200}$")
_PLAIN_NAME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,99}$")

_NODES: Final = (
    exp.Select,
    exp.SetOperation,
    exp.Subquery,
    exp.With,
    exp.CTE,
    exp.From,
    exp.Join,
    exp.Table,
    exp.TableAlias,
    exp.TableSample,
    exp.Final,
    exp.PreWhere,
    exp.Where,
    exp.Group,
    exp.Cube,
    exp.Rollup,
    exp.GroupingSets,
    exp.Having,
    exp.Qualify,
    exp.Order,
    exp.Ordered,
    exp.WithFill,
    exp.Limit,
    exp.LimitOptions,
    exp.Offset,
    exp.Distinct,
    exp.Window,
    exp.WindowSpec,
    exp.Identifier,
    exp.Column,
    exp.Star,
    exp.Alias,
    exp.Aliases,
    exp.Literal,
    exp.Boolean,
    exp.Null,
    exp.Paren,
    exp.Tuple,
    exp.Bracket,
    exp.Dot,
    exp.Lambda,
    exp.Interval,
    exp.Var,
    exp.DataType,
    exp.DataTypeParam,
    exp.Placeholder,
    exp.Between,
    exp.In,
    exp.Binary,
    exp.Unary,
    exp.Func,
    exp.Escape,
    exp.JSONPath,
    exp.JSONPathPart,
)
_QUERY_ARGS: Final = allowed.words("parser", "query_parts")
_TABLE_ARGS: Final = allowed.words("parser", "table_parts")
_NEVER: Final = (exp.Parameter, exp.SessionParameter, exp.Command, exp.Into)


@dataclass(frozen=True, slots=True)
class Schema:
    """What statements may read.

    Attributes:
        database: the database of the tables.
        tables: names that may be read.
        reserved: names of everything in the database, which no CTE may have.
        system: SELECTs that stand in for tables of the engine, by name; none where they may not be read.
    """

    database: str
    tables: frozenset[str]
    reserved: frozenset[str] = frozenset()
    system: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that may run.

    Attributes:
        sql: the statement, written anew.
        names: tables and common table expressions that the engine may find in it, and how often system tables.
        system_reads: how many system tables were put in.
    """

    sql: str
    names: frozenset[str]
    system_reads: int


def check(sql: str, schema: Schema) -> Checked:
    """Return the statement to run in place of `sql`.

    Raises:
        StatementRefusedError: with what in it is not allowed, and what to write instead.
    """
    text.check_before(sql)
    try:
        tree = _parse(sql)
        ctes = _ctes(tree, schema)
        for node in tree.walk():
            _check_node(node)
        reads = _name_tables(tree, schema, ctes)
        written = tree.sql(DIALECT, identify=True, comments=False)
    except RecursionError:
        msg = "the statement is too deeply nested: split it up with WITH"
        raise StatementRefusedError(msg) from None
    text.check_after(written)
    names = frozenset(f"{schema.database}.{table}" for table in schema.tables) | ctes
    return Checked(written, names, reads)


def _parse(sql: str) -> exp.Query:
    try:
        found = [one for one in sqlglot.parse(sql, dialect=DIALECT) if one is not None]
    except (SqlglotError, ValueError) as error:
        # The parser marks the place with terminal colours and repeats the statement.
        first = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
        msg = f"the statement cannot be read: {first[0][:200] if first else 'syntax error'}"
        raise StatementRefusedError(msg) from None
    if len(found) != 1:
        msg = f"there are {len(found)} statements and one is run at a time: send them one by one"
        raise StatementRefusedError(msg)
    if not isinstance(found[0], exp.Query):
        msg = "only SELECT, WITH … SELECT and UNION are run here, also with EXPLAIN, besides SHOW TABLES and DESCRIBE"
        raise StatementRefusedError(msg)
    return found[0]


def _ctes(tree: exp.Query, schema: Schema) -> frozenset[str]:
    names = set()
    for cte in tree.find_all(exp.CTE):
        name = cte.alias
        if not _PLAIN_NAME.match(name) or name in schema.reserved | schema.tables or name.lower() == SYSTEM:
            msg = f"WITH cannot use the name {name[:60]!r}: letters, digits and _, and no table of that name"
            raise StatementRefusedError(msg)
        names.add(name)
    return frozenset(names)


def _check_node(node: exp.Expr) -> None:
    if not isinstance(node, _NODES) or isinstance(node, _NEVER):
        msg = f"{_shown(node)} is not allowed here: read tables with SELECT; docs/sql.md says what may be written"
        raise StatementRefusedError(msg)
    if isinstance(node, exp.Identifier):
        _check_name(node.name)
    elif isinstance(node, exp.Query) and not isinstance(node, exp.Table):
        _only(node, _QUERY_ARGS)
    elif isinstance(node, exp.Table):
        _only(node, _TABLE_ARGS)
    elif isinstance(node, exp.In):
        _check_in(node)


def _only(node: exp.Expr, allowed: frozenset[str]) -> None:
    for name, value in node.args.items():
        if value and name not in allowed:
            what = name.strip("_").upper()
            hint = ": the server's own settings hold" if what == "SETTINGS" else ""
            hint = ": say the format beside the statement, not in it" if what == "FORMAT" else hint
            msg = f"{what} cannot be used here{hint}"
            raise StatementRefusedError(msg)


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        msg = f"the name {name[:60]!r} cannot be used: no quotes, backslashes, semicolons or control characters"
        raise StatementRefusedError(msg)
    if name.startswith("_"):
        msg = f"the name {name[:60]!r} begins with _, as the engine's hidden columns do: choose another"
        raise StatementRefusedError(msg)


def _check_in(node: exp.In) -> None:
    """Refuse a bare name after IN: the engine takes it for a table, whatever columns there are."""
    options = node.args.get("expressions") or []
    field = node.args.get("field")
    bare = (field is not None and not isinstance(field, exp.Placeholder)) or (
        len(options) == 1 and isinstance(options[0].unnest(), exp.Column)
    )
    if bare:
        msg = "a bare name after IN means a table: write IN (SELECT …), or has(array, value)"
        raise StatementRefusedError(msg)


def _name_tables(tree: exp.Query, schema: Schema, ctes: frozenset[str]) -> int:
    """Name every table in full, put in what stands for system tables, and return how many of these there were."""
    reads = 0
    for table in list(tree.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            _check_numbers(table)
            continue
        if isinstance(table.parent, exp.Join) and table.parent.args.get("kind") == "ARRAY":
            continue
        name, database = table.name, table.db
        if not database and name in ctes:
            continue
        if database.lower() == SYSTEM and schema.system and name in schema.system:
            _stand_in(table, schema.system[name])
            reads += 1
            continue
        if database not in {"", schema.database} or name not in schema.tables:
            raise StatementRefusedError(_no_table(table, schema))
        table.set("db", exp.to_identifier(schema.database, quoted=True))
    return reads


def _stand_in(table: exp.Table, select: str) -> None:
    alias = table.alias or table.name
    inner = sqlglot.parse_one(select, dialect=DIALECT)
    table.replace(exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True))))


def _check_numbers(table: exp.Table) -> None:
    msg = (
        f"{_shown(table)} is not allowed after FROM: the tables of `spanhouse sql --tables`, and subqueries; "
        "for a row of numbers arrayJoin(range(10))"
    )
    raise StatementRefusedError(msg)


def _no_table(table: exp.Table, schema: Schema) -> str:
    name = f"{table.db}.{table.name}" if table.db else table.name
    near = get_close_matches(table.name, schema.tables, 1)
    hint = f"did you mean {near[0]}? " if near and table.db in {"", schema.database} else ""
    return f"there is no table {name[:100]} to read: {hint}the tables are {', '.join(sorted(schema.tables))}"


def _shown(node: exp.Expr) -> str:
    return repr(node.sql(DIALECT, comments=False)[:80])

"""The engine's own reading of a statement, compared with what the door allows.

Two parsers may read one text in two ways. The engine is asked, by EXPLAIN AST, which parses and does nothing else,
what it sees in the statement that is about to run: known kinds of nodes, allowed functions, named tables, and no more.
"""

from __future__ import annotations

import re
from typing import Final

from spanhouse_server.sql import allowed
from spanhouse_server.sql.functions import MEMBERSHIP, is_allowed
from spanhouse_server.sql.refusal import StatementRefusedError
from spanhouse_server.sql.statement import SYSTEM, Checked
from spanhouse_server.sql.text import no_function

FORMAT: Final = "TabSeparated"
_LINE: Final = re.compile(r"^( *)([A-Za-z]+)(?: (\S+))?")

_KINDS: Final = allowed.words("engine", "nodes")


def statement(checked: Checked) -> str:
    """Return what to ask the engine."""
    return f"EXPLAIN AST {checked.sql}"


def check(checked: Checked, answer: str) -> None:
    """Refuse what the engine sees in a statement and the door does not allow.

    Args:
        checked: the statement.
        answer: what the engine said, in `FORMAT`.

    Raises:
        StatementRefusedError: with the function, table or kind of node.
    """
    system_reads = 0
    path: list[tuple[str, str, int]] = []
    for line in answer.rstrip("\n").split("\n"):
        found = _LINE.match(line)
        if not found:
            msg = "the engine reads the statement in a way that cannot be checked: write it more simply"
            raise StatementRefusedError(msg)
        depth, kind, name = len(found[1]), found[2], found[3] or ""
        del path[depth:]
        if path:
            parent = path[-1]
            path[-1] = (parent[0], parent[1], parent[2] + 1)
        if kind == "Function":
            _check_function(name, path)
        elif kind == "TableIdentifier":
            system_reads += _check_table(name, checked)
        elif kind == "Identifier":
            _check_identifier(name, path)
        elif kind not in _KINDS:
            msg = f"{kind} cannot be used in a statement here"
            raise StatementRefusedError(msg)
        path.append((kind, name, 0))
    if system_reads != checked.system_reads:
        msg = "the engine reads other tables in the statement than it names: write it more simply"
        raise StatementRefusedError(msg)


def _check_function(name: str, path: list[tuple[str, str, int]]) -> None:
    if path and path[-1][0] == "TableExpression":
        msg = f"{name} cannot stand after FROM: the documented tables and subqueries can"
        raise StatementRefusedError(msg)
    if not is_allowed(name):
        raise StatementRefusedError(no_function(name))


def _check_table(name: str, checked: Checked) -> int:
    if name in checked.names:
        return 0
    if name.startswith(f"{SYSTEM}.") and checked.system_reads:
        return 1
    msg = f"there is no table {name[:100]} to read"
    raise StatementRefusedError(msg)


def _check_identifier(name: str, path: list[tuple[str, str, int]]) -> None:
    """Refuse a name where the engine would look for a table: the second argument of IN."""
    if len(path) > 1 and path[-2][0] == "Function" and path[-2][1] in MEMBERSHIP and path[-1][2] > 1:
        msg = f"{name[:100]} after IN means a table: write IN (SELECT …), or has(array, value)"
        raise StatementRefusedError(msg)

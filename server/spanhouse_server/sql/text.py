"""What can be said of a statement's text alone: before it is parsed, and once more of what is to be run."""

from __future__ import annotations

import re
from typing import Final

from spanhouse_server.sql import allowed
from spanhouse_server.sql.functions import is_allowed
from spanhouse_server.sql.refusal import StatementRefusedError

LONGEST: Final = 64 << 10
"""Bytes of a statement."""

DEEPEST: Final = 40
"""Brackets inside brackets."""

MOST_WORDS: Final = 2_000

_OPEN, _CLOSE = "([{", ")]}"
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2018\u2019\u201c\u201d\ud800-\udfff]")
_ROUGH: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\w+|\S", re.DOTALL)

_NAME_PARAMETER: Final = re.compile(r"\{\s*\w+\s*:[^{}]{0,200}identifier", re.IGNORECASE)

KEYWORDS: Final = allowed.words("words", "keywords")
"""Words that may stand without quotes; names always stand in quotes in what is run."""

TYPES: Final = frozenset(name.lower() for name in allowed.words("words", "types"))

_PARAMETER: Final = re.compile(r"\{([A-Za-z]\w*): ?([A-Za-z0-9(), ]+)\}")
_TOKEN: Final = re.compile(
    r"""
      (?P<text>'(?:[^'\\]|\\.|'')*')
    | (?P<name>"[^"\\]*")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    | (?P<space>\s+)
    | (?P<sign>->|<=|>=|<>|!=|\|\||[-+*/%=<>(),.\[\]:])
    """,
    re.VERBOSE | re.DOTALL,
)


def check_before(sql: str) -> None:
    """Refuse what would cost too much to parse, or holds characters that parsers read differently.

    Raises:
        StatementRefusedError: too long, too deep, too many words, or a control character or typographic quote.
    """
    size = len(sql.encode(errors="replace"))
    if size > LONGEST:
        msg = f"the statement is {size:,} bytes long and may be {LONGEST:,}: send long lists as a parameter"
        raise StatementRefusedError(msg)
    odd = _CONTROL.search(sql)
    if odd:
        msg = f"the statement holds the character U+{ord(odd[0]):04X}: write it in a text as hex, or straight quotes"
        raise StatementRefusedError(msg)
    if _NAME_PARAMETER.search(sql):
        msg = "a parameter stands for a value and never for a name: write {name:String} and the like"
        raise StatementRefusedError(msg)
    depth = 0
    for words, found in enumerate(_ROUGH.finditer(sql), start=1):
        one = found[0]
        depth += (one in _OPEN) - (one in _CLOSE)
        if depth > DEEPEST or words > MOST_WORDS:
            msg = f"the statement is too large: at most {DEEPEST} brackets inside brackets and {MOST_WORDS:,} words"
            raise StatementRefusedError(msg)


def check_after(sql: str) -> None:
    """Refuse a generated statement that is not made of quoted names, known words and allowed functions alone.

    It is read as the engine's lexer reads it, and not as the parser that produced it did: no comment, no second
    statement, no clause and no function that nobody allowed can be in it unseen.

    Raises:
        StatementRefusedError: with the word or sign.
    """
    at, previous = 0, ""
    while at < len(sql):
        if sql[at] == "{":
            at = _parameter(sql, at)
            previous = "}"
            continue
        found = _TOKEN.match(sql, at)
        if not found or sql.startswith(("--", "/*"), at):
            msg = f"{sql[at : at + 20]!r} cannot be used in a statement here"
            raise StatementRefusedError(msg)
        at = found.end()
        kind, token = str(found.lastgroup), found[0]
        called = sql[at : at + 1] == "("
        if kind == "word":
            _check_word(token, called=called)
        if kind == "name" and called and previous.upper() != "AS":
            msg = f"{token} cannot be called: functions are written without quotes"
            raise StatementRefusedError(msg)
        if kind != "space":
            previous = token


def _check_word(word: str, *, called: bool) -> None:
    if called and is_allowed(word):
        return
    if word.upper() in KEYWORDS or word.lower() in TYPES:
        return
    if called:
        raise StatementRefusedError(no_function(word))
    msg = f"{word[:60]} is no part of a statement here: SELECT, WITH and UNION of the documented tables"
    raise StatementRefusedError(msg)


def no_function(name: str) -> str:
    """Return the sentence about a function that may not be called."""
    return f"function {name[:60]} is not among those that may be called; docs/sql.md says which are and why"


def _parameter(sql: str, at: int) -> int:
    found = _PARAMETER.match(sql, at)
    if not found or "identifier" in found[2].lower():
        msg = f"{sql[at : at + 40]!r} is no parameter: write {{name:Type}} for a value; names cannot be parameters"
        raise StatementRefusedError(msg)
    return found.end()

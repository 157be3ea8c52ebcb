"""Values that their name gives away: members of JSON (also of JSON inside JSON strings) and assignments."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from spanhouse.secret_names import names_secret, reveals

Mark: TypeAlias = Callable[[str, str], str]
"""Returns what is put in a secret's place, from the kind of secret and the secret."""

MEMBER: Final = "secret_field"
ASSIGNMENT: Final = "assignment"

_NAME: Final = re.compile(r"""(["'])([A-Za-z0-9_.$-]{1,80}+)(\\{0,7}+)\1\s{0,5}+:\s{0,5}+""")
_QUOTE: Final = {"'": re.compile(r"(\\*+)'|\n"), '"': re.compile(r'(\\*+)"|\n')}
_NUMBER: Final = re.compile(r"-?[0-9][0-9.eE+-]{0,40}+")
_PLAIN_ITEM: Final = re.compile(r"[\s,]++|[A-Za-z0-9.+-]++")

_ASSIGNED: Final = re.compile(r"""=\s{0,2}+\\{0,7}+["']?([A-Za-z0-9_+/=~!@#%^*-]{6,400}+)(?![\w(.\[$])""")
_NAME_BACKWARDS: Final = re.compile(r"\s{0,2}+([A-Za-z0-9_.-]{1,60}+)")
_NAME_REACH: Final = 64


def cut_members(text: str, mark: Mark) -> tuple[str, int]:
    """Return JSON-like text with the values of members that are named like a secret replaced, and how many were.

    Strings, numbers and lists of plain values are replaced by a string, quoted as their surroundings are; of an object
    the inner names decide.
    """
    found: list[str] = []
    done = position = 0
    while name := _NAME.search(text, position):
        position = name.end()
        if not names_secret(name[2]):
            continue
        escape, quote = name[3], name[3] + name[1]
        if text.startswith(quote, position):
            start = position + len(quote)
            end, position = _closing(text, start, name[1], len(escape))
            value, left, right = text[start:end], "", ""
        else:
            start, end = position, _plain_end(text, position, name[1], escape)
            value, left, right = text[start:end], quote, quote
        if reveals(name[2], value):
            found += (text[done:start], left, mark(MEMBER, value), right)
            done = position = end
    return "".join([*found, text[done:]]), len(found) // 4


def cut_assignments(text: str, mark: Mark) -> tuple[str, int]:
    """Return text with the values of assignments like ``DB_PASSWORD=...`` replaced, and how many were.

    A value has to hold a digit and to be no expression, so that code which names secrets stays as it is.
    """
    found: list[str] = []
    done = 0
    for assigned in _ASSIGNED.finditer(text):
        at = assigned.start()
        name = _NAME_BACKWARDS.match(text[max(0, at - _NAME_REACH) : at][::-1])
        value = assigned[1]
        if name and any(character.isdigit() for character in value) and reveals(name[1][::-1], value):
            found += (text[done : assigned.start(1)], mark(ASSIGNMENT, value))
            done = assigned.end(1)
    return "".join([*found, text[done:]]), len(found) // 2


def quote_before(text: str, position: int) -> str:
    """Return the quotation mark, escaped as there, that stands next before a position; ``"`` where none does."""
    at = text.rfind('"', 0, position)
    start = at
    while start > 0 and text[start - 1] == "\\":
        start -= 1
    return text[start : at + 1] if at >= 0 else '"'


def _plain_end(text: str, start: int, quote: str, escape: str) -> int:
    # Of what is neither a number nor a list of plain values nothing is taken.
    if number := _NUMBER.match(text, start):
        return number.end()
    if not text.startswith("[", start):
        return start
    position = start + 1
    while not text.startswith("]", position):
        if text.startswith(escape + quote, position):
            _, position = _closing(text, position + len(escape) + 1, quote, len(escape))
        elif item := _PLAIN_ITEM.match(text, position):
            position = item.end()
        else:
            return start
    return position + 1


def _closing(text: str, start: int, quote: str, escapes: int) -> tuple[int, int]:
    # A string inside a string at depth d is closed by a quote behind 2**d - 1 backslashes; those of the value itself
    # come in multiples of 2**(d + 1) before it.
    for found in _QUOTE[quote].finditer(text, start):
        run = found[1]
        if run is None:
            return found.start(), found.start()
        if len(run) % (2 * (escapes + 1)) == escapes:
            end = found.end() - 1 - escapes
            return end, found.end()
    return len(text), len(text)

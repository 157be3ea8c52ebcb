"""The marks a filter is made of: names, operators, values and quoted texts, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spanhouse.filters.errors import FilterError

_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR: Final = re.compile(r"!=|>=|<=|!~|=|>|<|~")
_BARE: Final = re.compile(r"[^\s(),\"'=<>!~]+")
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of the filter: its text as meant, where it begins, how long it is there, whether it was in quotes."""

    text: str
    position: int
    length: int
    quoted: bool = False


class Scanner:
    """Reads marks from left to right; ``take_*`` gives None and moves nothing where something else stands there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> int:
        """Move over white space and return the position."""
        space = _SPACE.match(self.text, self.at)
        assert space is not None
        self.at = space.end()
        return self.at

    def ended(self) -> bool:
        """Return whether nothing follows."""
        return self.skip() == len(self.text)

    def take_name(self) -> Mark | None:
        """Take a field's name, a function's or a keyword."""
        return self._take(_NAME)

    def take_operator(self) -> Mark | None:
        """Take one of = != > >= < <= ~ !~."""
        return self._take(_OPERATOR)

    def take(self, sign: str) -> bool:
        """Take a sign such as a parenthesis; return whether it was there."""
        if not self.text.startswith(sign, self.skip()):
            return False
        self.at += len(sign)
        return True

    def take_word(self, *words: str) -> bool:
        """Take keywords that follow one another, in any case; return whether all of them were there."""
        before = self.at
        for word in words:
            found = self.take_name()
            if found is None or found.text.lower() != word:
                self.at = before
                return False
        return True

    def take_quoted(self) -> Mark | None:
        """Take a text in quotes, its escapes resolved."""
        begin = self.skip()
        if self.text[begin : begin + 1] not in {'"', "'"}:
            return None
        found = self._take(_QUOTED)
        if found is None:
            reason = "the quotes are not closed: write a backslash before a quote inside"
            raise FilterError(reason, self.text, begin, len(self.text) - begin)
        try:
            text = _ESCAPE.sub(_unescaped, found.text[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            reason = "half of a surrogate pair is no character"
            raise FilterError(reason, self.text, begin, found.length) from None
        return Mark(text, begin, found.length, quoted=True)

    def take_value(self) -> Mark | None:
        """Take a text in quotes, or a bare word, number, duration or time."""
        return self.take_quoted() or self._take(_BARE)

    def rest(self) -> Mark:
        """Return what stands here up to the next white space, for an error; taken is nothing."""
        begin = self.skip()
        found = re.compile(r"\S*").match(self.text, begin)
        assert found is not None
        return Mark(found[0], begin, len(found[0]))

    def _take(self, pattern: re.Pattern[str]) -> Mark | None:
        begin = self.skip()
        found = pattern.match(self.text, begin)
        if found is None:
            return None
        self.at = found.end()
        return Mark(found[0], begin, len(found[0]))


def _unescaped(found: re.Match[str]) -> str:
    said = found[1]
    return chr(int(said[1:], 16)) if len(said) > 1 else _ESCAPED.get(said, said)

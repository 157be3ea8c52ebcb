"""What is wrong with a filter, where, and what may stand there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from spanhouse.errors import SpanhouseError

_LONGEST_LINE = 120


class FilterError(SpanhouseError, ValueError):
    """A filter cannot be read. The text of the error is the reason, the line, and a caret under the place.

    Attributes:
        reason: what is wrong and what may stand there, in one sentence.
        text: the filter as given.
        position: where it begins, in characters from 0.
        length: how many characters it is about.
    """

    def __init__(self, reason: str, text: str, position: int, length: int = 1) -> None:
        self.reason = reason
        self.text = text
        self.position = min(position, len(text))
        self.length = max(1, length)
        super().__init__(f"{reason}\n{self.caret}")

    @property
    def caret(self) -> str:
        """The line that is meant, indented, and under it a caret for each character."""
        begin = self.text.rfind("\n", 0, self.position) + 1
        line = self.text[begin:].split("\n", 1)[0].replace("\t", " ")
        column = self.position - begin
        cut = max(0, column - _LONGEST_LINE // 2)
        shown = line[cut : cut + _LONGEST_LINE]
        return f"  {shown}\n  {' ' * (column - cut)}{'^' * max(1, min(self.length, len(shown) - (column - cut)))}"


def nearest(name: str, known: Iterable[str], aliases: Iterable[str] = ()) -> str:
    """Return the words that help who wrote ``name`` and meant one of ``known``, or an alias of one."""
    names = list(known)
    near = get_close_matches(name.lower(), [*names, *aliases], 1, 0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known are {', '.join(names)}"

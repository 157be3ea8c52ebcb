"""Which names say that their value is a secret, whatever it looks like."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_PARTS: Final = (
    *(("pass", "word"), ("pass", "wd"), ("pass", "phrase"), ("pwd",), ("secret",), ("api", "key"), ("access", "key")),
    *(("private", "key"), ("secret", "key"), ("encryption", "key"), ("signing", "key")),
    *(("authorization",), ("credential",), ("credentials",), ("cookie",)),
)
_NAMES: Final = frozenset("".join(parts) for parts in _PARTS)
_TOKEN: Final = "token"  # noqa: S105 - a word
"""Also the word for a piece of text and for a page's mark: its value has to look like a secret too."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LONGEST: Final = 80
_MOST_WORDS: Final = 2
_SECRET_LIKE: Final = re.compile(r"(?=[^0-9]{0,400}[0-9])(?=[^A-Za-z]{0,400}[A-Za-z])[A-Za-z0-9_.+/=~:-]{8,}")
_NO_SECRET: Final = frozenset({"", "true", "false", "null", "none", "None", "True", "False", "[]", "{}", '""'})


def reveals(name: str, value: str) -> bool:
    """Return whether a value is a secret by the name it goes under.

    Names are read word by word (``db_password``, ``x-api-key``, ``clientSecret``), so that ``bypass``, ``max_tokens``
    and ``password_hint`` are none.
    """
    strength = _strength(name) if len(name) <= _LONGEST else 0
    if not strength or value in _NO_SECRET or value.startswith("[REDACTED"):
        return False
    return strength > 1 or _SECRET_LIKE.fullmatch(value) is not None


def names_secret(name: str) -> bool:
    """Return whether values under this name may be secrets."""
    return len(name) <= _LONGEST and _strength(name) > 0


@lru_cache(maxsize=8192)
def _strength(name: str) -> int:
    words = [word.lower() for word in _WORD.findall(name)]
    if any("".join(words[-count:]) in _NAMES for count in range(1, _MOST_WORDS + 1)):
        return 2
    return 1 if words[-1:] == [_TOKEN] else 0


# First letters are left out and every key is let through: the fewer literals, the faster the engine leaps from one to
# the next.
SIEVE: Final = (
    "(?:ass[_-]?(?:word|phrase)|ass[_-]?(?:Word|Phrase)|ASS[_-]?(?:WORD|PHRASE)|asswd|ASSWD|pwd|Pwd|PWD|ecret|ECRET"
    "|key|Key|KEY|uthorization|UTHORIZATION|redentials?|REDENTIALS?|ookie|OOKIE|oken|OKEN)"
    r"""(?:\\{0,7}["']\s{0,5}:|\s{0,2}=|\x12)"""
)
"""Holds for every text in which a member, an assignment or (in protobuf) an attribute has such a name.

For engines without lookaround. Names in unusual capitals (``pASSword``) are known by `reveals` alone.
"""

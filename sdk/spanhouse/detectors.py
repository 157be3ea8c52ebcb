"""The secrets that are known by how they look: one table for the SDK and the collector.

No pattern has nested repeats, and each that can fail after a long run may begin only where such a run begins, so the
time is at most linear in the text for every one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spanhouse import secret_names
from spanhouse.secret_members import ASSIGNMENT, MEMBER, Mark, cut_assignments, cut_members, quote_before


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of secret.

    Attributes:
        kind: what it is called in a mark and in counts.
        hints: literals, lower case, of which every text with such a secret holds one.
        sieve: an expression without lookaround that every such text matches, so that an engine of linear time can look
            over many texts at once; it may also match others.
        cut: replaces the secrets in a text and counts them.
    """

    kind: str
    hints: tuple[str, ...]
    sieve: str
    cut: Callable[[str, Mark], tuple[str, int]]


def _detector(
    kind: str, hints: tuple[str, ...], pattern: str, *, sieve: str = "", accept: Callable[[str], bool] | None = None
) -> Detector:
    expression = re.compile(pattern)
    named = "secret" in expression.groupindex

    def cut(text: str, mark: Mark) -> tuple[str, int]:
        found = 0

        def put(match: re.Match[str]) -> str:
            nonlocal found
            start, end = match.span("secret") if named else match.span()
            secret = text[start:end]
            if accept is not None and not accept(secret):
                return match[0]
            found += 1
            return text[match.start() : start] + mark(kind, secret) + text[end : match.end()]

        return expression.sub(put, text), found

    return Detector(kind, hints, sieve or pattern.replace(r"\b", ""), cut)


_KEY: Final = r"[A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_CARD: Final = re.compile(
    r"[2-6](?<![A-Za-z0-9_.-].)(?:"
    r"[0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}|[0-9]{3}([ -]?)[0-9]{6}\2[0-9]{5})(?![A-Za-z0-9_-]|\.[0-9])"
)
_CARD_NUMBER: Final = re.compile(r"(?:4[0-9]|5[1-5]|2[2-7]|6[045])[0-9]{14}|3[47][0-9]{13}")
CARD: Final = "card"
_BARE_BEFORE: Final = re.compile(r"[:,\[]\s{0,5}\Z")
_BARE_AFTER: Final = re.compile(r"\s{0,5}[,\]}]")


def _is_card(digits: str) -> bool:
    if not _CARD_NUMBER.fullmatch(digits):
        return False
    # Luhn: from the right every second digit counts twice, less nine where that has two digits.
    doubled = [int(d) if i % 2 == 0 else int(d) * 2 - 9 * (int(d) > 4) for i, d in enumerate(reversed(digits))]  # noqa: PLR2004
    return sum(doubled) % 10 == 0


def _cut_cards(text: str, mark: Mark) -> tuple[str, int]:
    found = 0

    def put(match: re.Match[str]) -> str:
        nonlocal found
        digits = match[0].replace(" ", "").replace("-", "")
        if not _is_card(digits):
            return match[0]
        found += 1
        # A number of a JSON document becomes a string, or the document could not be read any more.
        bare = _BARE_BEFORE.search(text, max(0, match.start() - 6), match.start()) and _BARE_AFTER.match(
            text, match.end()
        )
        quote = quote_before(text, match.start()) if bare else ""
        return quote + mark(CARD, digits) + quote

    return _CARD.sub(put, text), found


DETECTORS: Final[tuple[Detector, ...]] = (
    _detector(
        "private_key",
        ("private key",),
        # A key cut off by a size limit has no end; its JSON string, however escaped, has.
        rf"-----BEGIN {_KEY}(?:(?!-----|\\{{0,7}}\")[\s\S]){{0,20000}}+(?:-----END {_KEY})?",
        sieve=rf"-----BEGIN {_KEY}",
    ),
    _detector(
        "jwt",
        ("eyj",),
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,4000}+\.eyJ[A-Za-z0-9_-]{4,8000}+\.[A-Za-z0-9_-]{4,2000}+",
        sieve=r"eyJ[A-Za-z0-9_-]{8}",
    ),
    _detector("anthropic_key", ("sk-ant-",), r"\bsk-ant-[A-Za-z0-9_-]{16,200}"),
    _detector(
        "openai_key",
        ("sk-",),
        r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,200}",
        sieve=r"sk-[A-Za-z0-9_-]{20}",
    ),
    _detector("aws_key", ("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    _detector("google_key", ("aiza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    _detector(
        "github_token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255})",
        sieve=r"gh[pousr]_[A-Za-z0-9]{30}|github_pat_",
    ),
    _detector("slack_token", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}", sieve=r"xox[abeoprs]-[A-Za-z0-9-]{10}"),
    _detector(
        "stripe_key",
        ("k_live_", "k_test_"),
        r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}",
        sieve=r"[rs]k_(?:live|test)_[A-Za-z0-9]{16}",
    ),
    _detector("huggingface_token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,100}", sieve=r"hf_[A-Za-z0-9]{30}"),
    _detector("spanhouse_key", ("shk_", "sho_"), r"\bsh[ko]_[A-Za-z0-9_-]{16,200}", sieve=r"sh[ko]_[A-Za-z0-9_-]{16}"),
    _detector(
        "url_password",
        ("://",),
        r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/@\"']{0,200}:(?!\[REDACTED)(?P<secret>[^\s@/\"']{1,300})@",
        sieve=r"://[^\s:/@\"']{0,200}:[^\s@/\"']{1,300}@",
    ),
    _detector(
        "authorization",
        ("bearer ", "basic "),
        # Something no plain word has must be in it: a digit, a sign, or a capital inside.
        r"\b(?i:bearer|basic) (?P<secret>(?=[A-Za-z.~+/-]{0,4000}?(?:[0-9=_]|[a-z][A-Z]))[A-Za-z0-9._~+/=-]{8,4000})",
        sieve=r"(?i:bearer|basic) [A-Za-z0-9._~+/=-]{8}",
    ),
    Detector(
        MEMBER,
        ("pass", "pwd", "secret", "key", "token", "authorization", "credential", "cookie"),
        secret_names.SIEVE,
        cut_members,
    ),
    Detector(ASSIGNMENT, ("=",), secret_names.SIEVE, cut_assignments),
    Detector(CARD, tuple("23456"), r"[2-6][0-9]{3}[ -]?[0-9]{4}[0-9 -]{5,10}", _cut_cards),
)
"""In the order in which they are looked for: what is known by its form goes before what is known by its name."""

KINDS: Final = tuple(detector.kind for detector in DETECTORS)

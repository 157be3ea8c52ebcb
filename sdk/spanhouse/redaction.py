"""Secrets cut out of text before it leaves the process.

Every pattern has bounded repeats and no nested ones, so that no input makes it slow; a cheap look for a literal that
each match must hold comes before the pattern itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REVEALING = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|client_?secret|api[_-]?key|access_?key|secret_?access_?key"
    r"|auth_?token|access_?token|refresh_?token|private_?key|authorization|credentials?)"
)
"""Names whose value is a secret whatever it looks like."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret: a literal every match holds (lower case), the pattern, and what is put in its place."""

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str


def _rule(kind: str, hints: tuple[str, ...], pattern: str, replacement: str = "") -> Rule:
    return Rule(kind, hints, re.compile(pattern), replacement or f"[REDACTED:{kind}]")


RULES: tuple[Rule, ...] = (
    _rule(
        "private_key",
        ("private key-----",),
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^\"]{0,20000}?"
        r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|(?=\")|\Z)",
    ),
    _rule("jwt", ("eyj",), r"\beyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{4,8000}\.[A-Za-z0-9_-]{4,2000}"),
    _rule("anthropic_key", ("sk-ant-",), r"\bsk-ant-[A-Za-z0-9_-]{16,200}"),
    _rule("openai_key", ("sk-",), r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,200}"),
    _rule("aws_key", ("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    _rule("google_key", ("aiza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    _rule(
        "github_token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255})",
    ),
    _rule("slack_token", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    _rule("stripe_key", ("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}"),
    _rule("huggingface_token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,100}"),
    _rule(
        "url_password",
        ("://",),
        r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/@\"']{0,200}:)[^\s@/\"']{1,300}(?=@)",
        r"\1[REDACTED:url_password]",
    ),
    _rule(
        "authorization",
        ("bearer ", "basic "),
        # Something no plain word has must be in it: a digit, a sign, or a capital inside.
        r"\b((?i:bearer|basic)) (?=[A-Za-z.~+/-]{0,4000}?(?:[0-9=_]|[a-z][A-Z]))[A-Za-z0-9._~+/=-]{8,4000}",
        r"\1 [REDACTED:authorization]",
    ),
    # A JSON member (also inside a JSON string, with escaped quotes) whose name says that its value is secret.
    _rule(
        "secret_field",
        ("pass", "pwd", "secret", "key", "token", "authorization", "credential"),
        r"(?i)(\\{0,3}[\"'])((?:[a-z0-9]{1,20}[_-]){0,3}" + _REVEALING + r")\1(\s{0,5}:\s{0,5})"
        r"(?:\1(?!\[REDACTED)(?:(?!\1)[^\n]){1,4000}\1|-?\d[\d.eE+-]{0,40})",
        r"\1\2\1\3\1[REDACTED:secret_field]\1",
    ),
)

_LOOKED_FOR = tuple((hint, rule) for rule in RULES for hint in rule.hints)


def redact(text: str) -> tuple[str, int]:
    """Return the text with secrets replaced by ``[REDACTED:<kind>]``, and how many were replaced.

    Finds keys of model providers and clouds, JSON web tokens, PEM private keys, passwords in URLs, bearer and basic
    credentials, and the values of JSON members named like a secret. JSON stays JSON.
    """
    found = 0
    folded = text.lower()
    for hint, rule in _LOOKED_FOR:
        # Rules with several hints come up once for each present; the second time there is nothing left to find.
        if hint in folded:
            text, count = rule.pattern.subn(rule.replacement, text)
            found += count
    return text, found

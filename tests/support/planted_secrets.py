"""Made-up secrets of every kind, each different from all others, and the forms of text they hide in."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable

_WORDS = string.ascii_letters + string.digits


def _word(rng: random.Random, length: int, alphabet: str = _WORDS) -> str:
    # A digit and a capital within, as every generated secret has.
    return "".join(rng.choices(alphabet, k=length - 2)) + rng.choice(string.digits) + rng.choice(string.ascii_uppercase)


def _card(rng: random.Random) -> str:
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    doubled = [d if i % 2 else d * 2 - 9 * (d > 4) for i, d in enumerate(digits)]
    return "".join(map(str, digits)) + str(-sum(doubled) % 10)


FORMED: dict[str, Callable[[random.Random], str]] = {
    "private_key": lambda r: f"-----BEGIN PRIVATE KEY-----\n{_word(r, 64)}\n-----END PRIVATE KEY-----",
    "jwt": lambda r: f"eyJ{_word(r, 20)}.eyJ{_word(r, 30)}.{_word(r, 30)}",
    "anthropic_key": lambda r: f"sk-ant-api03-{_word(r, 40)}",
    "openai_key": lambda r: f"sk-proj-{_word(r, 40)}",
    "aws_key": lambda r: "AKIA" + "".join(r.choices(string.ascii_uppercase + string.digits, k=16)),
    "google_key": lambda r: f"AIza{_word(r, 35)}",
    "github_token": lambda r: f"ghp_{_word(r, 36)}",
    "slack_token": lambda r: f"xoxb-{_word(r, 30)}",
    "stripe_key": lambda r: f"sk_live_{_word(r, 24)}",
    "huggingface_token": lambda r: f"hf_{_word(r, 34)}",
    "spanhouse_key": lambda r: f"shk_{_word(r, 40)}",
    "card": _card,
}
"""Kinds that are known by how they look."""

NAMED: dict[str, tuple[str, str]] = {
    "url_password": ("see postgres://app:", "@db:5432/shop"),
    "authorization": ("Authorization: Bearer ", " sent"),
    "secret_field": ('{"order": 7, "db_password": "', '", "n": 1}'),
    "assignment": ("export API_KEY=", " && run"),
}
"""Kinds that are known by what stands around them: before and after."""

KINDS = (*FORMED, *NAMED)


def planted(rng: random.Random, kind: str) -> tuple[str, str]:
    """Return a secret and a text that holds it."""
    if kind in FORMED:
        secret = FORMED[kind](rng)
        # The line that identifies a key is its body: the frame is no secret.
        return secret.split("\n")[1] if "\n" in secret else secret, f"please use {secret} for it"
    secret = _word(rng, 24)
    before, after = NAMED[kind]
    return secret, before + secret + after


def nested(text: str) -> str:
    """Return the text within a JSON document within a JSON document."""
    return json.dumps({"note": "x", "inner": json.dumps({"said": [text]})})

"""What checkpoints vouch for: those of the server and those copied elsewhere, checked and put together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from spanhouse.audit.chain import Flaw, FlawKind
from spanhouse_server.audit.checkpoint import FIRST, Head, Signed
from spanhouse_server.audit.signing import PublicKey

CHECKPOINTS: Final = "checkpoints"
"""Stands in place of the stream in flaws of checkpoints, whose numbers are those of checkpoints."""


class Sighting(NamedTuple):
    """A stream's head as one checkpoint signed it."""

    number: int
    time: datetime
    head: Head


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a tenant's good checkpoints say together.

    Attributes:
        count: how many there are.
        outside: how many of them were seen in a copy from elsewhere.
        last: the newest; None without any.
        heads: by stream, in the order of checkpoints.
        kept_from: what retention has removed up to; None where it removes nothing.
        flaws: what is wrong with the checkpoints themselves.
    """

    count: int = 0
    outside: int = 0
    last: Signed | None = None
    heads: Mapping[str, Sequence[Sighting]] = field(default_factory=dict)
    kept_from: datetime | None = None
    flaws: Sequence[Flaw] = ()


def vouched(own: Iterable[Signed], outside: Iterable[Signed], keys: Mapping[str, PublicKey]) -> Vouched:
    """Return what one tenant's checkpoints vouch for; a copy from elsewhere is believed before the server.

    Args:
        own: the server's.
        outside: those of the copy; empty where there is none.
        keys: the keys to be trusted, by id.
    """
    flaws: list[Flaw] = []
    theirs = _by_number(own, keys, flaws, "")
    copied = _by_number(outside, keys, flaws, " of the copy")
    for number, signed in sorted(copied.items()):
        mine = theirs.get(number)
        if mine is None:
            flaws.append(_flaw(number, "the copy has it, the server has not"))
        elif mine.checkpoint.hash != signed.checkpoint.hash:
            flaws.append(_flaw(number, "the server has another one than the copy"))
    merged = [signed for _, signed in sorted({**theirs, **copied}.items())]
    flaws += _gaps(merged)
    heads: dict[str, list[Sighting]] = {}
    for signed in merged:
        said = signed.checkpoint
        for head in said.heads:
            heads.setdefault(head.stream, []).append(Sighting(said.number, said.time, head))
    return Vouched(
        count=len(merged),
        outside=len(copied),
        last=merged[-1] if merged else None,
        heads=heads,
        kept_from=max((each.checkpoint.kept_from for each in merged if each.checkpoint.kept_from), default=None),
        flaws=sorted(flaws, key=lambda flaw: flaw.seq),
    )


def _by_number(
    given: Iterable[Signed], keys: Mapping[str, PublicKey], flaws: list[Flaw], of_whom: str
) -> dict[int, Signed]:
    found: dict[int, Signed] = {}
    for signed in given:
        said = signed.checkpoint
        key = keys.get(said.key_id)
        if key is None:
            flaws.append(_flaw(said.number, f"the one{of_whom} is signed with key {said.key_id[:40]!r}, not trusted"))
        elif not key.verifies(said.text(), signed.signature):
            flaws.append(_flaw(said.number, f"the signature{of_whom} is not that of key {said.key_id}"))
        elif found.setdefault(said.number, signed).checkpoint.hash != said.hash:
            flaws.append(_flaw(said.number, f"there are two{of_whom} with this number"))
    return found


def _gaps(merged: Sequence[Signed]) -> list[Flaw]:
    flaws: list[Flaw] = []
    number, previous = 0, FIRST
    for signed in merged:
        said = signed.checkpoint
        if said.number != number + 1:
            flaws.append(_flaw(number + 1, f"{said.number - number - 1} missing before {said.number}"))
        elif said.previous != previous:
            flaws.append(_flaw(said.number, f"it does not follow checkpoint {number}"))
        number, previous = said.number, said.hash
    return flaws


def _flaw(number: int, detail: str) -> Flaw:
    return Flaw(FlawKind.CHECKPOINT, CHECKPOINTS, number, detail)

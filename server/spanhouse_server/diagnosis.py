"""What a server's state means: one finding a check, each fine, a warning or a failure with what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

System: TypeAlias = dict[str, Any]

LAG_SECONDS: Final = 60.0
SKEW_WARN, SKEW_FAIL = 5.0, 300.0
"""Seconds between the two clocks; the times of spans come from the machines that send them."""
FREE_WARN, FREE_FAIL = 0.10, 0.03
"""Shares of a disk that are free."""
FREE_BYTES_FAIL: Final = 512 << 20
JOURNAL_WARN: Final = 0.5
_NAMED: Final = 3
_BAD_KEYS: Final = ("unknown", "revoked", "expired")


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        check: what was looked at.
        said: what was found.
        todo: what to do about it; empty where nothing is to be done.
    """

    check: str
    level: Level
    said: str
    todo: str = ""


def diagnose(system: System, *, program: str, before: datetime, after: datetime) -> list[Finding]:
    """Return the findings on a server's state (``GET /api/v1/system``); a key of some tenants sees those of records.

    Args:
        system: the state.
        program: version of the program that asks.
        before: this machine's time when it asked.
        after: and when it had the answer.
    """
    found = [_versions(system, program), _ready(system)]
    if system["store"] is not None:
        found += [*_store(system), _journal(system), _dead_letters(system), *_callers(system), *_disks(system)]
        found.append(_audit(system))
    return [*found, *_records(system), _clock(system, before, after)]


def unreachable(url: str, why: str) -> list[Finding]:
    """Return the finding on a server that does not answer."""
    todo = f"start it with 'spanhouse up', or name another with --url (asked {url})"
    return [Finding("server", Level.FAIL, why, todo)]


def _versions(system: System, program: str) -> Finding:
    theirs = system["versions"]
    parts = {"spanhouse": theirs["spanhouse"], "engine": theirs["engine"], "python": theirs["python"]}
    said = ", ".join(f"{name} {number}" for name, number in parts.items() if number)
    if theirs["spanhouse"] == program:
        return Finding("versions", Level.OK, said)
    todo = f"this program is {program}: bring both to one version"
    return Finding("versions", Level.WARN, said, todo)


def _ready(system: System) -> Finding:
    if not system["reasons"]:
        return Finding("ready", Level.OK, "takes telemetry")
    return Finding(
        "ready", Level.FAIL, "; ".join(system["reasons"]), "senders are told to come back until this is mended"
    )


def _store(system: System) -> Iterator[Finding]:
    store = system["store"]
    if store["error"]:
        todo = "the journal keeps what comes; see that the store runs and can be reached at its URL"
        yield Finding("store", Level.FAIL, f"{store['url']} does not answer: {store['error']}", todo)
        return
    if store["away_seconds"]:
        said = f"answers, but inserts have failed for {store['away_seconds']:.0f} s"
        yield Finding("store", Level.FAIL, said, "the server's log says why; the journal keeps what comes")
    else:
        yield Finding("store", Level.OK, f"{store['kind']}, {size(store['bytes'])} in {len(store['tables'])} tables")
    schema = system["schema"]
    if schema["drift"]:
        said = f"{_few(schema['drift'])}; schema {schema['number']}"
        todo = "each says what mends it; restart the server first, which runs migrations"
        yield Finding("schema", Level.FAIL, said, todo)
    else:
        yield Finding("schema", Level.OK, f"number {schema['number']}, as this server expects")


def _journal(system: System) -> Finding:
    journal = system["journal"]
    waiting = f"{journal['pending_items']:,} records wait, the oldest for {journal['pending_seconds']:.1f} s"
    said = f"{waiting}; {size(journal['bytes'])} of {size(journal['limit'])}"
    if journal["pending_seconds"] > LAG_SECONDS:
        todo = "the store is away or slower than what comes; nothing is lost until the journal is full"
        return Finding("journal", Level.FAIL, said, todo)
    if journal["bytes"] > JOURNAL_WARN * journal["limit"]:
        return Finding("journal", Level.WARN, said, "let the store catch up, or raise SPANHOUSE_JOURNAL_LIMIT")
    return Finding("journal", Level.OK, said)


def _dead_letters(system: System) -> Finding:
    letters = system["dead_letters"]
    if not letters["letters"]:
        return Finding("dead letters", Level.OK, "none")
    reasons = _few([f"{count:,} x {reason}" for reason, count in letters["reasons"].items()])
    said = f"{letters['letters']:,} requests set aside, the newest {letters['newest_at']}: {reasons}"
    todo = f"they are whole in {letters['folder']}: report them, send them again after an upgrade, or delete them"
    return Finding("dead letters", Level.WARN, said, todo)


def _callers(system: System) -> Iterator[Finding]:
    bad = {why: count for why, count in system["refused_callers"].items() if why in _BAD_KEYS}
    if not bad:
        yield Finding("keys", Level.OK, "nobody showed one that is no good since the start")
        return
    said = _few([f"{count:,} x {why}" for why, count in bad.items()])
    todo = "somebody has an old key or guesses: see spanhouse_server_refused_callers_total and 'spanhouse keys list'"
    yield Finding("keys", Level.WARN, f"refused since the start: {said}", todo)


def _audit(system: System) -> Finding:
    audit = system["audit"]
    if audit["copies"]:
        todo = "see to the directory; 'spanhouse audit verify --checkpoints' tells what differs"
        return Finding("audit", Level.FAIL, audit["copies"], todo)
    if audit["bad"]:
        said = f"the last checkpoint does not verify of {_few(audit['bad'])}"
        return Finding("audit", Level.FAIL, said, "somebody changed it: see 'spanhouse audit verify'")
    if audit["late"]:
        said = f"no checkpoint for over an hour of {_few(audit['late'])}"
        return Finding("audit", Level.FAIL, said, "the server's log says why none could be made")
    if not audit["tenants"]:
        return Finding("audit", Level.OK, "nothing to be signed yet")
    beyond = "copied elsewhere" if audit["anchored"] else "no copy elsewhere (SPANHOUSE_AUDIT_ANCHOR)"
    said = f"the last checkpoint is of {audit['last_at']} and verifies; {beyond}"
    return Finding("audit", Level.OK, said)


def _records(system: System) -> Iterator[Finding]:
    if system["ledger"] is None:
        return
    day, gaps = system["ledger"]["day"], system["ledger"]["gaps"]
    if gaps:
        named = _few([f"{gap['missing']:,} records of {gap['minute']}" for gap in gaps])
        todo = "records are unaccounted for: search the server's log for these minutes, and report it"
        yield Finding("ledger", Level.FAIL, named, todo)
    else:
        said = f"{day['received']:,} records in a day, {day['stored']:,} stored, {day['duplicated']:,} sent twice"
        yield Finding("ledger", Level.OK, f"adds up: {said}, {day['rejected']:,} refused")
    if day["rejected"]:
        reasons = _few([f"{count:,} x {why}" for why, count in Counter(day["reasons"]).most_common()])
        yield Finding("refusals", Level.WARN, reasons, "senders were told so; mend what they send")
    runs = system["incomplete_runs"]
    if runs["runs"]:
        said = f"{runs['runs']:,} runs of the last day lack spans or audit events: {_few(runs['run_ids'])}"
        todo = "see 'spanhouse runs --incomplete'; an agent that was killed could not send the rest"
        yield Finding("runs", Level.WARN, said, todo)
    else:
        yield Finding("runs", Level.OK, "no run of the last day is known to lack anything")
    models = system["unpriced_models"]
    if models:
        named = _few([f"{each['model']} ({each['runs']:,} runs)" for each in models])
        yield Finding("prices", Level.WARN, f"no price is known for {named}", "their cost is unknown, never 0")
    else:
        yield Finding("prices", Level.OK, "every model of the last day has a price")


def _disks(system: System) -> Iterator[Finding]:
    for disk in system["disks"]:
        share = disk["free"] / max(1, disk["total"])
        said = f"{size(disk['free'])} free of {size(disk['total'])} at {disk['path']}"
        level = Level.WARN if share < FREE_WARN else Level.OK
        if share < FREE_FAIL or disk["free"] < FREE_BYTES_FAIL:
            level = Level.FAIL
        yield Finding(f"disk of the {disk['of']}", level, said, "make room" if level is not Level.OK else "")


def _clock(system: System, before: datetime, after: datetime) -> Finding:
    theirs = datetime.fromisoformat(system["now"])
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    level = Level.FAIL if skew > SKEW_FAIL else Level.WARN if skew > SKEW_WARN else Level.OK
    said = f"{skew:.1f} s from this machine's" if skew else "as this machine's"
    todo = "set both by NTP: spans would seem to come from the past or the future" if level is not Level.OK else ""
    return Finding("clock", level, said, todo)


def size(count: float | None) -> str:
    """Return bytes for people; a dash where it is not known."""
    if count is None:
        return "—"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - the next unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _few(texts: list[str]) -> str:
    rest = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")

"""What is wrong with a policy that can be loaded: rules that never count, and leave that is not taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final, Literal

from spanhouse_runtime.policies import resources
from spanhouse_runtime.policy import ALWAYS_ASK, Condition, Decision, Policy, Rule, Scoped, Unanswerable
from spanhouse_runtime.policy_file import Page

_ANYTHING: Final = "\x00"
"""Stands for whatever a wildcard of the narrower pattern may be: only a wildcard of the wider one takes it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: where it stands, how bad it is, and what to do."""

    path: str
    line: int
    severity: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.severity}: {self.message}"


def findings(pages: Sequence[Page], policy: Policy, now: datetime) -> list[Finding]:
    """Return what is wrong with a policy, in the order of its files and lines.

    Args:
        pages: its files.
        policy: what they come to together.
        now: an aware time; grants that have ended by then are told.
    """
    found = [*_shadowed(pages), *_useless_grants(pages, now), *_always_asked(pages, policy)]
    order = {page.path: place for place, page in enumerate(pages)}
    return sorted(found, key=lambda one: (order[one.path], one.line))


def covers(wide: Scoped, narrow: Scoped) -> bool:
    """Return whether every call the narrow one speaks of is one that the wide one speaks of too; False if not sure."""
    if not glob_covers(wide.tool, narrow.tool):
        return False
    if wide.roles and not (narrow.roles and set(narrow.roles) <= set(wide.roles)):
        return False
    if wide.resources and wide.lets_through and not narrow.lets_through:
        # Resources are compared more generously where they are not let through: another case, one of several.
        return False
    for path, globs in wide.resources.items():
        if not all(_within(glob, globs) for glob in narrow.resources.get(path, (_ANYTHING,))):
            return False
    return all(
        path in narrow.arguments and _implied(condition, narrow.arguments[path])
        for path, condition in wide.arguments.items()
    )


def glob_covers(wide: str, narrow: str) -> bool:
    """Return whether every text that matches the narrow glob matches the wide one; False if not sure."""
    if wide in {narrow, "*"}:
        return True
    if set("?[") & set(wide) or "[" in narrow:
        return False
    return fnmatchcase(narrow.replace("*", _ANYTHING).replace("?", _ANYTHING), wide)


def _within(narrow: str, globs: tuple[str, ...]) -> bool:
    if narrow in globs:
        return True
    # Sure of the plain cases alone: below a folder, and everything.
    for glob in globs:
        stem = glob.removesuffix("**")
        if glob.endswith("**") and not set("*?[") & set(stem) and narrow.startswith(stem) and narrow != _ANYTHING:
            return True
        if not set("*?[") & set(narrow) and narrow != _ANYTHING and resources.matches(narrow, glob):
            return True
    return False


def _implied(wide: Condition, narrow: Condition) -> bool:
    if "equals" in narrow.model_fields_set:
        try:
            return wide.holds(narrow.equals)
        except Unanswerable:
            return False
    if wide == narrow or "equals" in wide.model_fields_set:
        return wide == narrow
    return (
        (narrow.prefix or "").startswith(wide.prefix or "")
        and (wide.pattern is None or (narrow.pattern is not None and glob_covers(wide.pattern, narrow.pattern)))
        and (wide.at_least is None or (narrow.at_least is not None and narrow.at_least >= wide.at_least))
        and (wide.at_most is None or (narrow.at_most is not None and narrow.at_most <= wide.at_most))
    )


def _shadowed(pages: Sequence[Page]) -> Iterator[Finding]:
    before: list[tuple[Page, int, Rule]] = []
    for page in pages:
        for place, rule in enumerate(page.document.rules):
            cover = next((known for known in before if covers(known[2], rule)), None)
            if cover is not None:
                where = f"{cover[0].path}:{cover[0].source.line(('rules', cover[1]))}"
                words = f"rule {rule.name!r} can never match: {cover[2].name!r} ({where}) takes every call it is about"
                line = page.source.line(("rules", place))
                yield Finding(page.path, line, "error", f"{words}; move it up or drop it")
            before.append((page, place, rule))
    for page in pages:
        for place, glob in enumerate(page.document.allow):
            bare = next(
                (rule for _, _, rule in before if covers(rule, Rule(name="_", tool=glob, decision=Decision.ALLOW))),
                None,
            )
            if bare is not None and bare.decision is not Decision.ALLOW:
                words = f"{glob!r} is allowed in vain: rule {bare.name!r} takes every call of it first"
                yield Finding(page.path, page.source.line(("allow", place)), "error", words)


def _useless_grants(pages: Sequence[Page], now: datetime) -> Iterator[Finding]:
    for page in pages:
        for place, grant in enumerate(page.document.grants):
            line = page.source.line(("grants", place))
            if grant.until <= now:
                words = f"grant {grant.name!r} ended {grant.until.isoformat()}: drop it"
                yield Finding(page.path, line, "warning", words)
            for other in pages:
                for rule in other.document.rules:
                    if rule.decision is Decision.DENY and covers(rule, grant):
                        words = f"grant {grant.name!r} lifts nothing: rule {rule.name!r} denies all it is about"
                        yield Finding(page.path, line, "error", words)


def _always_asked(pages: Sequence[Page], policy: Policy) -> Iterator[Finding]:
    asked: Mapping[str, str] = {glob: action for glob, action in policy.actions.items() if action in ALWAYS_ASK}
    if not asked:
        return
    for page in pages:
        said = [("rules", n, r.tool, r.name) for n, r in enumerate(page.document.rules) if r.decision is Decision.ALLOW]
        said += [("allow", n, glob, glob) for n, glob in enumerate(page.document.allow)]
        said += [("grants", n, grant.tool, grant.name) for n, grant in enumerate(page.document.grants)]
        for part, place, tool, name in said:
            meant = next((glob for glob in asked if glob_covers(glob, tool) or glob_covers(tool, glob)), None)
            if meant is not None:
                words = f"{name!r} allows {tool}, but {asked[meant]} ({meant}) is asked whatever a policy allows"
                yield Finding(page.path, page.source.line((part, place)), "warning", f"{words}: write decision: ask")

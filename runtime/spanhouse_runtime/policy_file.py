"""Policies from YAML files: read with the line of every mistake, built on one another, and followed as they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from spanhouse.errors import ConfigurationError
from spanhouse.lined_yaml import MAX_BYTES, Problem, Source, SourceError, file_text, problems_of, read
from spanhouse_runtime.followed import FollowedFile
from spanhouse_runtime.policy import Condition, Decision, Grant, Names, Policy, Rule
from spanhouse_runtime.traits import Action

MAX_POLICY_BYTES = MAX_BYTES
_DEEPEST: Final = 16


class Case(BaseModel):
    """A test of a policy that stands in its file.

    Attributes:
        name: what the test is called; its tool and expectation where not given.
        tool, arguments, action: the call.
        roles, tenant, user, agent, run, at: for whom and when; now where ``at`` is not given.
        expect: the decision it must come to.
        rule: the rule that must decide; any where not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    tool: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)
    action: Action | Literal[""] = ""
    roles: Names = ()
    tenant: str = ""
    user: str = ""
    agent: str = ""
    run: str = ""
    at: AwareDatetime | None = None
    expect: Decision
    rule: str = ""


class Document(Policy):
    """A policy file: a policy, the files it is built on, and its tests."""

    extends: Names = ()
    tests: tuple[Case, ...] = ()


MODELS: Final = (Document, Rule, Grant, Condition, Case)


@dataclass(frozen=True, slots=True)
class Page:
    """One file of a policy: what it says, and where each part of it stands."""

    path: str
    document: Document
    source: Source


def load_policy(path: Path) -> Policy:
    """Return the policy in a YAML file and in those it extends.

    Raises:
        ConfigurationError: a file cannot be read, is no YAML, or does not describe a policy; the message names each
            wrong field with its file and line.
    """
    return merged(read_pages(path))


def parse_policy(body: bytes | str, *, source: str = "policy") -> Policy:
    """Return the policy a YAML text describes; ``source`` names it in errors. It cannot extend files.

    Raises:
        ConfigurationError: as ``load_policy``.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        page = parse_page(text, source)
    except UnicodeDecodeError as problem:
        msg = f"{source} is not UTF-8 text: byte {problem.start} cannot be read"
        raise ConfigurationError(msg) from problem
    except SourceError as error:
        raise ConfigurationError(_lines(source, error.problems)) from error
    if page.document.extends:
        msg = f"{source}:{page.source.line(('extends',))}: a text cannot extend files: load the policy from a file"
        raise ConfigurationError(msg)
    return merged([page])


def read_pages(path: Path) -> list[Page]:
    """Return a policy file and all it extends, the file itself first.

    Raises:
        ConfigurationError: as ``load_policy``; also where files extend one another in a circle.
    """
    return _pages(path, ())


def parse_page(text: str, path: str) -> Page:
    """Return one policy file from its text.

    Raises:
        SourceError: it does not describe a policy; with every finding.
    """
    source = read(text)
    if not isinstance(source.data, dict):
        kind = "nothing" if source.data is None else type(source.data).__name__
        raise SourceError([Problem(1, f"a policy must be a mapping with 'rules', 'allow' and so on, not {kind}")])
    try:
        return Page(path, Document.model_validate(source.data), source)
    except ValidationError as error:
        raise SourceError(problems_of(error, source, MODELS)) from error


def merged(pages: Sequence[Page]) -> Policy:
    """Return the policy of several files: rules, grants and actions in their order; the first file says ``on_deny``.

    Raises:
        ConfigurationError: two rules have one name.
    """
    documents = [page.document for page in pages]
    actions = {glob: action for document in reversed(documents) for glob, action in document.actions.items()}
    first = documents[0].actions
    try:
        return Policy(
            rules=tuple(rule for document in documents for rule in document.rules),
            allow=tuple(dict.fromkeys(glob for document in documents for glob in document.allow)),
            grants=tuple(grant for document in documents for grant in document.grants),
            # The nearest file's globs are looked at first.
            actions={**first, **{glob: action for glob, action in actions.items() if glob not in first}},
            on_deny=documents[0].on_deny,
        )
    except ValidationError as error:
        words = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        msg = f"{pages[0].path} and what it extends: {words}"
        raise ConfigurationError(msg) from error


def _pages(path: Path, above: tuple[Path, ...]) -> list[Page]:
    real = path.resolve()
    if real in above or len(above) > _DEEPEST:
        circle = " → ".join(str(step) for step in (*above[above.index(real) if real in above else 0 :], real))
        msg = f"{path}: policy files extend one another in a circle: {circle}"
        raise ConfigurationError(msg)
    try:
        page = parse_page(file_text(path), str(path))
    except SourceError as error:
        raise ConfigurationError(_lines(str(path), error.problems)) from error
    pages = [page]
    for name in page.document.extends:
        known = {one.path for one in pages}
        pages += [one for one in _pages(path.parent / name, (*above, real)) if one.path not in known]
    return pages


def _lines(path: str, problems: Sequence[Problem]) -> str:
    return "\n".join(f"{path}:{problem.line}: {problem.message}" for problem in problems)


class PolicyFile(FollowedFile[Policy]):
    """A policy that follows its file, and those that extends: ``Guard(policy=PolicyFile(path))``.

    A file that was changed into something that is no policy changes nothing: the last good one holds, the log says so
    once, and so does ``problem``. Safe for threads.

    Args:
        path: the file.
        clock: seconds that only grow; the file is looked at once a second at most.

    Raises:
        ConfigurationError: there is no good policy to begin with.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.monotonic) -> None:
        def load() -> tuple[Policy, list[str]]:
            pages = read_pages(Path(path))
            return merged(pages), [page.path for page in pages]

        super().__init__(load, f"policy file {path}", clock)

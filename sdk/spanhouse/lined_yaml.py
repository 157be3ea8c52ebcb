"""Files people write as YAML: a strict reading that knows the line of every value, and findings that name it.

Needs PyYAML, which the extras ``runtime`` and ``server`` bring; nothing that every agent imports imports this.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

MAX_BYTES = 256 * 1024
"""The largest file that is read."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a file: the line it is on (1 is the first) and what to change."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class SourceError(ValueError):
    """A file cannot be used.

    Attributes:
        problems: every finding, in line order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Source:
    """What a YAML text holds, and the line each value stands on.

    Attributes:
        data: plain dicts, lists and scalars.
        lines: line of each value by its path of keys and positions; of a mapping's entry, the line of its key.
    """

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of the value at ``path``, or of the nearest value around it."""
        parts = tuple(path)
        while parts and parts not in self.lines:
            parts = parts[:-1]
        return self.lines.get(parts, 1)


def read(text: str) -> Source:
    """Return the data and line numbers of a YAML text.

    Raises:
        SourceError: the text is over 256 KB or no YAML, or holds what it must not: anchors and aliases (a short file
            can stand for gigabytes), tags, a key twice, a key that is no text (``on:`` is the boolean true in YAML).
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise SourceError([Problem(1, f"the file is larger than {MAX_BYTES // 1024} KB: split it")])
    try:
        loader = _StrictLoader(text)
    except yaml.reader.ReaderError as error:
        problem = f"character {error.position} is one YAML does not allow ({error.reason}): save the file as UTF-8 text"
        raise SourceError([Problem(text.count("\n", 0, int(error.position)) + 1, problem)]) from error
    try:
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        data = _plain(loader, node, (), lines) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SourceError([Problem(mark.line + 1 if mark else 1, error.problem or "the file is not YAML")]) from error
    except RecursionError as error:
        raise SourceError([Problem(1, "it is nested too deeply: a few levels are enough")]) from error
    finally:
        loader.dispose()
    return Source(data, lines)


def file_text(file: FilePath) -> str:
    """Return the text of a file.

    Raises:
        SourceError: it cannot be read, or is no UTF-8 text; one larger than is read is answered by ``read``.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise SourceError([Problem(1, f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise SourceError([Problem(1, f"is not UTF-8 text: byte {error.start} cannot be read")]) from error


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """Return the sentence about a name that is none of these: the nearest of them, or all."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
    return f"unknown {what} {name!r}: {hint}"


def problems_of(error: ValidationError, source: Source, models: Iterable[type[BaseModel]]) -> list[Problem]:
    """Return what a model found wrong with a source, in line order.

    Args:
        error: what validation raised.
        source: what was validated.
        models: whose keys may be meant by a key that is unknown.
    """
    keys = {item.alias or name for model in models for name, item in model.model_fields.items()}
    found = [_problem(dict(one), source, keys) for one in error.errors(include_url=False, include_context=False)]
    return sorted(dict.fromkeys(found), key=lambda problem: problem.line)


def _problem(found: Mapping[str, Any], source: Source, keys: Iterable[str]) -> Problem:
    path: Path = ()
    for part in found["loc"]:
        # Pydantic's places have union tags in them, which no file has.
        if (*path, part) in source.lines:
            path = (*path, part)
    line, prefix = source.line(path), "".join(f"{part}." for part in path)[:-1]
    prefix = f"{prefix}: " if prefix else ""
    last = str(found["loc"][-1]) if found["loc"] else ""
    match found["type"]:
        case "extra_forbidden":
            return Problem(line, f"{prefix}{unknown('key', last, keys)}")
        case "missing":
            return Problem(line, f"{prefix}the key {last!r} is missing")
        case "value_error":
            return Problem(line, prefix + str(found["msg"]).removeprefix("Value error, "))
        case _:
            written = found["input"]
            shown = f" (written: {written!r})" if isinstance(written, str | int | float | bool | None) else ""
            return Problem(line, f"{prefix}{found['msg']}{shown}")


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(
                None, None, "anchors (&) and aliases (*) are not allowed: write the values out", event.start_mark
            )
        return super().compose_node(parent, index)


_TAGS: dict[type[yaml.Node], str] = {
    yaml.MappingNode: "tag:yaml.org,2002:map",
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
}


def _refuse(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _plain(loader: yaml.SafeLoader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:  # noqa: ANN401 - YAML
    lines.setdefault(path, node.start_mark.line + 1)
    if node.tag != _TAGS.get(type(node), node.tag):
        raise _refuse(node, f"the tag {node.tag!r} is not allowed: write plain values")
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, child, (*path, i), lines) for i, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(loader, key_node)
        if not isinstance(key, str):
            meant = f"the key {key_node.value!r} is read as {key!r} by YAML, not as text"
            raise _refuse(key_node, f"{meant}: rename it or put it in quotes")
        if key in result:
            raise _refuse(key_node, f"the key {key!r} is written twice in one mapping: keep one")
        lines[(*path, key)] = key_node.start_mark.line + 1
        result[key] = _plain(loader, value_node, (*path, key), lines)
    return result


def _scalar(loader: yaml.SafeLoader, node: yaml.Node) -> Any:  # noqa: ANN401 - YAML
    if not isinstance(node, yaml.ScalarNode):
        raise _refuse(node, "a mapping or list cannot be a key: write a name")
    try:
        return loader.construct_object(node)
    except ValueError as error:
        # Such as 2026-99-99, which looks like a date, or an integer of five thousand digits.
        raise _refuse(node, f"{node.value[:40]!r} cannot be read ({error}): put it in quotes") from error

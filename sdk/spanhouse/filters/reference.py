"""The fields of the language as a table for people: ``docs/filters.md`` and ``spanhouse filters`` show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spanhouse.filters.fields import Field


def rows(fields: Iterable[Field]) -> Iterator[tuple[str, str, str, str]]:
    """Yield of each field its name, its aliases, what it holds, and what it means with all values there are."""
    for field in fields:
        choices = f": {', '.join(field.choices)}" if field.choices else ""
        yield field.name, ", ".join(field.aliases), field.kind.label, field.meaning + choices


def markdown(fields: Iterable[Field]) -> str:
    """Return the table in Markdown."""
    lines = ["| field | short | holds | meaning |", "|---|---|---|---|"]
    for name, aliases, kind, meaning in rows(fields):
        short = ", ".join(f"`{alias}`" for alias in aliases.split(", ") if alias)
        lines.append(f"| `{name}` | {short} | {kind} | {meaning} |")
    return "\n".join(lines)

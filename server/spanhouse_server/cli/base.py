"""What the commands share: options, the client, one way to fail, one way to print."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import click
from rich.console import Console
from rich.table import Table

from spanhouse.client import Client
from spanhouse.errors import ConfigurationError, ServerError
from spanhouse.filters import SIMPLE_FLAGS, SIMPLE_TEXTS
from spanhouse.settings import is_loopback
from spanhouse_server import token
from spanhouse_server.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
UNKNOWN = "—"
_FLAGS = {
    "escalated": ("--escalated/--not-escalated", "Only runs that were (not) handed to a person."),
    "completed": ("--completed/--not-completed", "Only runs that did (not) do what they were for."),
    "complete": ("--complete/--incomplete", "Only runs whose record is (not) known to be complete."),
}
# Escape sequences and direction marks in what a model wrote must not steer the reader's terminal; halves of surrogate
# pairs cannot be printed at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
"""Standard output. Into a pipe or a file tables are wide, so that no line of a reader's grep is folded."""


def url_option(command: F) -> F:
    """Add ``--url``."""
    option = click.option(
        "--url", envvar="SPANHOUSE_URL", default="http://127.0.0.1:4318", show_default=True, help="The server."
    )
    return option(command)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the API's JSON instead of a table.")(command)


def filter_options(command: F) -> F:
    """Add ``--filter``, the simple filters of runs, ``--since`` and ``--until``."""
    for name in reversed(SIMPLE_FLAGS):
        option, meaning = _FLAGS[name]
        command = click.option(option, name, default=None, help=meaning)(command)
    command = click.option("--text", help="A word of what was asked, answered or went wrong.")(command)
    for name in reversed(SIMPLE_TEXTS):
        flag = "--" + name.replace("_", "-")
        command = click.option(
            flag, name, multiple=True, help=f"Only runs of this {name.replace('_', ' ')}; repeatable."
        )(command)
    command = click.option("--since", help="RFC 3339 time, or an age such as 24h; without it, all time.")(command)
    command = click.option("--until", help="RFC 3339 time, or an age such as 1h.")(command)
    return click.option(
        "--filter", help="A condition, such as 'cost > 0.5 and tool(\"http.get\").errors > 2'; see docs/filters.md."
    )(command)


def given(filters: dict[str, Any]) -> dict[str, Any]:
    """Return only the filters that were given."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in filters.items()
        if value is not None and value not in ((), "")
    }


def client(url: str, *, operator: bool = False, data: str | None = None) -> Client:
    """Return a client of the server; with ``operator`` one that carries what an operator shows."""
    if not operator:
        return Client(url)
    directory = Path(data or Settings().data).expanduser()
    secret = operator_token(os.environ, directory if data or is_loopback(url) else None)
    if not secret:
        fail(
            f"no operator token: {directory / token.FILE_NAME} cannot be read for the server at {url}; name the "
            "server's directory with --data, or set SPANHOUSE_TOKEN to the operator token or a key to operate"
        )
    return Client(url, token=secret)


def operator_token(environ: Mapping[str, str], directory: Path | None) -> str:
    """Return what an operator shows; empty where nothing is there.

    The file of the data directory comes before ``SPANHOUSE_TOKEN``, which may hold a key for reading alone: a brake
    must not fail for that. ``SPANHOUSE_OPERATOR_TOKEN``, meant for nothing else, comes before both.

    Args:
        environ: the environment.
        directory: the server's data directory; None where the server is elsewhere, for that one's file is not ours.
    """
    own = token.read(directory) if directory is not None else None
    return environ.get("SPANHOUSE_OPERATOR_TOKEN") or own or environ.get("SPANHOUSE_TOKEN") or ""


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one sentence to standard error and end with a code."""
    click.echo(message, err=True)
    sys.exit(code)


def call(action: Callable[[], Any]) -> Any:  # noqa: ANN401 - decoded JSON
    """Return what the API answered, or end with its problem as one sentence."""
    try:
        return action()
    except ConfigurationError as error:
        fail(clean(error), code=2)
    except ServerError as error:
        fail(clean(error))


def print_json(value: object) -> None:
    """Print JSON, indented where a person reads it; what could steer the terminal is written as an escape."""
    text = json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False)
    click.echo(unsteering(text))


def unsteering(text: str) -> str:
    """Return JSON text in which what could steer the terminal is written as an escape."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def line(text: str | None) -> str:
    """Return a text on one line, unknown as a dash."""
    return " ".join(clean(text or UNKNOWN).split())


def clean(text: object) -> str:
    """Return text that cannot move the cursor, recolour the terminal or reorder the line."""
    return _UNSAFE.sub("�", str(text))


def show(value: object) -> str:
    """Return a value as a table shows it: unknown as a dash, numbers short."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - four digits are enough below
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(clean(v) for v in value) or UNKNOWN
    return clean(value)


def interval(row: dict[str, Any]) -> str | None:
    """Return the confidence interval of a rate, None where it has none."""
    return None if row["low"] is None else f"{show(row['low'])} … {show(row['high'])}"


def seconds(value: float | None) -> str:
    """Return a duration for people."""
    if value is None:
        return UNKNOWN
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"  # noqa: PLR2004 - minutes read better from two on


def when(text: str | None) -> str:
    """Return a time in UTC to the second."""
    if not text:
        return UNKNOWN
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are aligned to the right."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        side: Literal["left", "right"] = "right" if column in right else "left"
        out.add_column(_plain(column), justify=side, no_wrap=True, overflow="ellipsis")
    for row in rows:
        out.add_row(*(_plain(show(cell)) for cell in row))
    console.print(out)


def _plain(text: str) -> Any:  # noqa: ANN401 - rich.text.Text
    from rich.text import Text  # noqa: PLC0415 - only tables need it

    # Text, not markup: a model's square brackets are not styles. On one line: its line breaks are no rows.
    return Text(" ".join(clean(text).split()))

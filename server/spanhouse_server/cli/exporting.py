"""``spanhouse export``: runs, spans, steps, audit events and metrics into files, and the check of such files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from spanhouse.errors import ServerError
from spanhouse_server.cli import base
from spanhouse_server.cli.metrics import HEADLINE

F = TypeVar("F", bound=Callable[..., Any])
PAGE = 1000
ROWS_A_FILE: Final = 250_000
_SINGLE: Final = (".csv", ".json", ".parquet")

format_option = click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet", "json"]), default="csv", show_default=True
)
out_option = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write."
)


def bulk_options(command: F) -> F:
    """Add what all exports into directories share."""
    for option in (
        click.option("--format", "kind", type=click.Choice(["parquet", "csv", "jsonl", "otlp", "json"]), default=None),
        click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory to write into."),
        click.option("--resume", is_flag=True, help="Go on with an export that broke off."),
        click.option(
            "--rows-per-file", type=click.IntRange(1), default=ROWS_A_FILE, show_default=True, help="Rows of one file."
        ),
        base.url_option,
    ):
        command = option(command)
    return command


@click.group()
def export() -> None:
    """Write runs, spans, steps, audit events or metrics to files."""


@export.command()
@bulk_options
@base.filter_options
def runs(url: str, kind: str | None, out: Path, rows_per_file: int, *, resume: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """Write every run that matches, one row each; nothing is cut.

    Into a directory, with a manifest.json of row counts and checksums; --out ending in .csv, .parquet or .json, or
    --format json, is a single file.

    \b
    Example:  spanhouse export runs --since 7d --format parquet --out runs/
              spanhouse export runs --since 7d --out runs.csv
    """
    if out.suffix in _SINGLE or kind == "json":
        if resume:
            base.fail("--resume goes on with an export into a directory; a single file is written anew", code=2)
        rows = base.call(lambda: list(base.client(url).iter_runs(limit=PAGE, **base.given(filters))))
        click.echo(f"{_write(rows, out, kind or 'csv'):,} runs written to {out}")
        return
    _export("runs", url, kind, out, rows_per_file, resume=resume, filters=base.given(filters))


@export.command()
@click.option("--content/--no-content", default=True, show_default=True, help="With inputs, outputs and attributes.")
@bulk_options
@base.filter_options
def spans(
    url: str,
    kind: str | None,
    out: Path,
    rows_per_file: int,
    *,
    resume: bool,
    content: bool,
    **filters: Any,  # noqa: ANN401 - click's options
) -> None:
    """Write every span that starts in the window; with a filter, the whole traces of the runs that match.

    \b
    Example:  spanhouse export spans --since 30d --format otlp --out spans/
    """
    asked = base.given(filters) if kind == "otlp" else {**base.given(filters), "content": content}
    _export("spans", url, kind, out, rows_per_file, resume=resume, filters=asked)


@export.command()
@bulk_options
@base.filter_options
def steps(url: str, kind: str | None, out: Path, rows_per_file: int, *, resume: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """Write every step of the runs that match.

    \b
    Example:  spanhouse export steps --agent support-agent --out steps/
    """
    _export("steps", url, kind, out, rows_per_file, resume=resume, filters=base.given(filters))


@export.command()
@click.option("--tenant", multiple=True, help="Only events of this tenant; repeatable.")
@click.option("--run-id", multiple=True, help="Only events of this run; repeatable.")
@click.option("--request-id", multiple=True, help="Only events of this request; repeatable.")
@click.option("--agent", multiple=True, help="Only events of this agent; repeatable.")
@click.option("--tool", multiple=True, help="Only events about this tool; repeatable.")
@click.option("--name", multiple=True, help="Only events of this name, policy.decision for example; repeatable.")
@click.option("--since", help="RFC 3339 time, or an age such as 24h; without it, all time.")
@click.option("--until", help="RFC 3339 time, or an age such as 1h.")
@bulk_options
def audit(url: str, kind: str | None, out: Path, rows_per_file: int, *, resume: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """Write every audit event that matches.

    \b
    Example:  spanhouse export audit --since 30d --format jsonl --out audit/
    """
    _export("audit", url, kind, out, rows_per_file, resume=resume, filters=base.given(filters))


@export.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@base.json_option
def verify(directory: Path, *, as_json: bool) -> None:
    """Check the files of an export against its manifest; exit code 1 where something is wrong.

    \b
    Example:  spanhouse export verify spans/
    """
    from spanhouse_server.exports.manifest import ExportError, Manifest, problems  # noqa: PLC0415 - files alone

    try:
        found = problems(directory)
        manifest = Manifest.read(directory)
    except (ExportError, OSError) as error:
        base.fail(base.clean(error), code=2)
    if as_json:
        base.print_json({"rows": manifest.rows, "complete": manifest.complete, "problems": found})
    else:
        for problem in found:
            click.echo(base.clean(problem), err=True)
        if not found:
            click.echo(f"{manifest.rows:,} {manifest.what} in {len(manifest.files)} files, all as the manifest says")
    sys.exit(1 if found else 0)


@export.command()
@click.option("--name", default=",".join(HEADLINE), help="Metric names, separated by commas.")
@click.option("--by", default=None, help="Group by these fields, separated by commas.")
@click.option("--step", default=None, help="Length of a time bucket: 1h, 1d.")
@format_option
@out_option
@base.filter_options
@base.url_option
def metrics(url: str, name: str, by: str | None, step: str | None, kind: str, out: Path, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """Write metric points, one row each: value, numerator, denominator, interval, and the group in columns.

    \b
    Example:  spanhouse export metrics --by agent --step 1d --out metrics.csv
    """
    points = base.call(lambda: base.client(url).metrics(name, by=by, step=step, **base.given(filters)))["points"]
    rows = [{**point.pop("group"), **point} for point in points]
    click.echo(f"{_write(rows, out, kind):,} points written to {out}")


def _export(
    what: str, url: str, kind: str | None, out: Path, rows_a_file: int, *, resume: bool, filters: dict[str, Any]
) -> None:
    from spanhouse_server.exports import job  # noqa: PLC0415 - pulls in Arrow
    from spanhouse_server.exports.manifest import ExportError  # noqa: PLC0415 - the same

    if kind == "json":
        base.fail("--format json is for runs in a single file: use --format jsonl", code=2)
    client = base.call(lambda: base.client(url))
    wanted = job.Wanted(what, kind or "parquet", filters)
    try:
        manifest, export = base.call(lambda: (job.resume if resume else job.begin)(client, wanted, out))
        if export is not None:
            manifest = job.run(manifest, export, out, rows_a_file=rows_a_file, progress=_show)
    except ExportError as error:
        base.fail(base.clean(error), code=2)
    except ServerError as error:
        base.fail(f"{base.clean(error)}; go on with the same command and --resume")
    except OSError as error:
        base.fail(f"{error.filename or out} cannot be written: {error.strerror or error}; go on with --resume")
    click.echo(f"{manifest.rows:,} {what} written to {out} in {len(manifest.files)} files, as of {manifest.as_of}")
    for note in manifest.notes:
        click.echo(f"  {base.clean(note)}", err=True)


def _show(rows: int, expected: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{rows:,} of {expected:,}", nl=False, err=True)


def _write(rows: list[dict[str, Any]], out: Path, kind: str) -> int:
    from spanhouse_analysis.export import write_rows  # noqa: PLC0415 - pulls in Arrow

    try:
        return write_rows(rows, out, kind)
    except OSError as error:
        base.fail(f"{out} cannot be written: {error.strerror or error}")

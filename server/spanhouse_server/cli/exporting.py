"""``spanhouse export``: runs and metrics into files for reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spanhouse_server.cli import base
from spanhouse_server.cli.metrics import HEADLINE

PAGE = 1000

format_option = click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet", "json"]), default="csv", show_default=True
)
out_option = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write."
)


@click.group()
def export() -> None:
    """Write runs or metrics to a file."""


@export.command()
@format_option
@out_option
@base.filter_options
@base.url_option
def runs(url: str, kind: str, out: Path, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """Write every run that matches, one row each; nothing is cut.

    \b
    Example:  spanhouse export runs --since 7d --format parquet --out runs.parquet
    """
    rows = base.call(lambda: list(base.client(url).iter_runs(limit=PAGE, **base.given(filters))))
    click.echo(f"{_write(rows, out, kind):,} runs written to {out}")


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


def _write(rows: list[dict[str, Any]], out: Path, kind: str) -> int:
    from spanhouse_analysis.export import write_rows  # noqa: PLC0415 - pulls in Arrow

    try:
        return write_rows(rows, out, kind)
    except OSError as error:
        base.fail(f"{out} cannot be written: {error.strerror or error}")

"""``spanhouse import``: recorded runs through the front door."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from spanhouse.client import Client
from spanhouse.errors import ServerError
from spanhouse_server.cli import base
from spanhouse_server.exports.manifest import ExportError
from spanhouse_server.importing.otlp import import_export
from spanhouse_server.importing.send import Report, import_file, wait_until_stored

SETTLE_SECONDS = 120.0


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--tenant", default="default", show_default=True, help="Tenant the runs are filed under.")
@click.option("--environment", default="import", show_default=True, help="Environment the runs are filed under.")
@click.option("--wait/--no-wait", default=True, help="Return only once the runs can be queried.")
@base.url_option
@base.json_option
def import_(files: tuple[Path, ...], url: str, tenant: str, environment: str, *, wait: bool, as_json: bool) -> None:
    """Import recorded runs, one JSON object a line, plain or gzip; or the directory of an OTLP export.

    Importing a file twice changes nothing: ids follow from each line's run_id. A line that is no run is named with its
    number, the rest is imported, and the exit code is 1. What `spanhouse export spans --format otlp` wrote keeps its
    ids, times, tenants and environments.

    \b
    Example:  spanhouse import runs.jsonl.gz
              spanhouse import spans/ audit/
    """
    api = base.call(lambda: base.client(url))
    reports: dict[str, Report] = {}
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True)
    ) as progress:
        for path in files:
            task = progress.add_task(f"{path.name}: reading", total=None)

            def told(report: Report, line: int, *, name: str = path.name, task: TaskID = task) -> None:
                done = f"{name}: line {line:,}, {report.runs:,} runs, {report.spans:,} spans acknowledged"
                progress.update(task, description=done)

            try:
                if path.is_dir():
                    reports[str(path)] = import_export(path, api, on_progress=told)
                else:
                    reports[str(path)] = import_file(
                        path, api, tenant=tenant, environment=environment, on_progress=told
                    )
            except OSError as error:
                base.fail(f"{path} cannot be read: {error}")
            except (ServerError, ExportError, ValueError) as error:
                base.fail(f"{path}: {error}")
        if wait:
            task = progress.add_task("storing and computing facts", total=None)
            settled = _settle(api)
            progress.update(
                task, description="stored" if settled else "still storing; figures will go on changing for a while"
            )
    _report(reports, as_json=as_json)


def _settle(api: Client) -> bool:
    time.sleep(0.2)  # lets the last acknowledged batch show up as pending
    return bool(base.call(lambda: wait_until_stored(api, timeout=SETTLE_SECONDS)))


def _report(reports: dict[str, Report], *, as_json: bool) -> None:
    for name, report in reports.items():
        for bad in report.bad:
            click.echo(f"{name}:{bad.number}: {base.clean(bad.reason)}", err=True)
        for rejected in report.rejected:
            click.echo(f"{name}: {base.clean(rejected)}", err=True)
    if as_json:
        base.print_json(
            {
                "files": [
                    {
                        "file": n,
                        "runs": r.runs,
                        "spans": r.spans,
                        "bad_lines": [{"line": b.number, "reason": b.reason} for b in r.bad],
                        "rejected": r.rejected,
                    }
                    for n, r in reports.items()
                ]
            }
        )
    else:
        for name, report in reports.items():
            click.echo(f"{name}: {report.runs:,} runs, {report.spans:,} spans, {len(report.bad)} bad lines")
    sys.exit(0 if all(report.clean for report in reports.values()) else 1)

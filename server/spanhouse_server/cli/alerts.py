"""``spanhouse alerts``: check a rules file, and see what fires."""

from __future__ import annotations

from pathlib import Path

import click

from spanhouse_server.cli import base


@click.group()
def alerts() -> None:
    """Alert rules and what they say."""


@alerts.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@base.json_option
def check(file: Path, *, as_json: bool) -> None:
    """Check a rules file; exit code 1 with one line a problem.

    \b
    Example:  spanhouse alerts check rules.yaml
    """
    from spanhouse_alerts.check import check as find_problems  # noqa: PLC0415 - pulls in the metric catalogue

    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        base.fail(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8")
    problems = find_problems(text)
    if as_json:
        base.print_json({"file": str(file), "problems": [{"line": p.line, "message": p.message} for p in problems]})
    else:
        for problem in problems:
            click.echo(f"{file}:{problem.line}: {base.clean(problem.message)}", err=True)
        if not problems:
            click.echo(f"{file}: no problems")
    if problems:
        raise SystemExit(1)


@alerts.command("list")
@click.option("--all", "everything", is_flag=True, help="Also the alerts that are over.")
@base.url_option
@base.json_option
def list_(url: str, *, everything: bool, as_json: bool) -> None:
    """List the alerts that are pending or firing.

    \b
    Example:  spanhouse alerts list
    """
    answer = base.call(lambda: base.client(url).alerts())
    if as_json:
        base.print_json(answer)
        return
    shown = [alert for alert in answer["alerts"] if everything or alert["state"] != "resolved"]
    base.table(
        ["state", "severity", "rule", "labels", "value", "threshold", "since (UTC)", "summary"],
        [
            [
                alert["state"],
                alert["severity"],
                alert["rule"],
                " ".join(f"{key}={value}" for key, value in alert["labels"].items()),
                alert["value"],
                alert["threshold"],
                base.when(alert["since"]),
                alert["summary"],
            ]
            for alert in shown
        ],
        right=["value", "threshold"],
    )
    if not shown:
        click.echo(f"Nothing is wrong by the {len(answer['rules'])} rules in force.")

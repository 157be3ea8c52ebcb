"""``spanhouse metrics`` and ``spanhouse tools``."""

from __future__ import annotations

from typing import Any

import click

from spanhouse_server.cli import base

HEADLINE = (
    "runs",
    "completion_rate",
    "autonomous_completion_rate",
    "finish_rate",
    "tool_error_rate",
    "loop_rate",
    "policy_deny_rate",
    "tokens_per_run_p50",
    "tokens_per_run_p95",
    "tool_calls_per_run_p50",
    "tokens",
    "cost",
)


@click.command()
@click.option(
    "--name", default=",".join(HEADLINE), help="Metric names, separated by commas; without it the headline metrics."
)
@click.option("--by", default=None, help="Group by these fields, separated by commas: model, agent, tool, tenant, …")
@click.option("--step", default=None, help="Length of a time bucket: 1h, 1d; without it one figure for the window.")
@click.option("--list", "catalogue", is_flag=True, help="List every metric and what it means.")
@base.filter_options
@base.url_option
@base.json_option
def metrics(
    url: str,
    name: str,
    by: str | None,
    step: str | None,
    *,
    catalogue: bool,
    as_json: bool,
    **filters: Any,  # noqa: ANN401 - click's options
) -> None:
    """Print metrics, each with numerator, denominator and 95 % interval.

    \b
    Example:  spanhouse metrics --name completion_rate,tool_error_rate --by model --since 7d
    """
    api = base.call(lambda: base.client(url))
    if catalogue:
        listed = base.call(api.metric_catalogue)
        if as_json:
            base.print_json(listed)
            return
        base.table(
            ["metric", "unit", "kind", "meaning"],
            [[m["name"], m["unit"], m["kind"], m["meaning"]] for m in listed["metrics"]],
        )
        return
    answer = base.call(lambda: api.metrics(name, by=by, step=step, **base.given(filters)))
    if as_json:
        base.print_json(answer)
        return
    groups = [g for g in (by or "").split(",") if g]
    columns = [*groups, "metric", *(["from"] if step else []), "value", "of", "95 % interval", "unit"]
    rows = []
    for point in answer["points"]:
        of = (
            None
            if point["denominator"] is None
            else f"{base.show(point['numerator'])} / {base.show(point['denominator'])}"
        )
        rows.append(
            [
                *(point["group"].get(g) for g in groups),
                point["metric"],
                *([base.when(point["start"])] if step else []),
                point["value"],
                of,
                base.interval(point),
                point["unit"],
            ]
        )
    base.table(columns, rows, right=["value", "of"])


@click.command()
@base.filter_options
@base.url_option
@base.json_option
def tools(url: str, *, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """List tools with their calls, error rates and times.

    \b
    Example:  spanhouse tools --since 7d
    """
    answer = base.call(lambda: base.client(url).tools(**base.given(filters)))
    if as_json:
        base.print_json(answer)
        return
    base.table(
        ["tool", "calls", "errors", "error rate", "95 % interval", "denied", "p50 ms", "p95 ms", "runs"],
        [
            [
                t["tool"],
                t["calls"],
                t["errors"],
                t["error_rate"],
                base.interval(t),
                t["denials"],
                t["p50_ms"],
                t["p95_ms"],
                t["runs"],
            ]
            for t in answer["tools"]
        ],
        right=["calls", "errors", "error rate", "denied", "p50 ms", "p95 ms", "runs"],
    )

"""The command tree."""

from __future__ import annotations

import click

from spanhouse_server.cli import (
    alerts,
    approvals,
    audit,
    backup,
    budgets,
    control,
    deletions,
    doctor,
    exporting,
    feedback,
    filters,
    importing,
    keys,
    mcp,
    metrics,
    policy,
    reprocess,
    review,
    runs,
    serve,
    sessions,
    sql,
    tail,
    triage,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="spanhouse")
def cli() -> None:
    """See what AI agents did, and stop the damage.

    \b
    Start with:  spanhouse demo
    """


for command in (
    serve.up,
    serve.collector,
    serve.server,
    serve.demo,
    importing.import_,
    runs.runs,
    runs.run,
    sessions.sessions,
    filters.filters,
    tail.tail,
    triage.triage,
    metrics.metrics,
    metrics.tools,
    exporting.export,
    sql.sql,
    mcp.mcp,
    alerts.alerts,
    audit.audit,
    control.control,
    approvals.approvals,
    feedback.feedback,
    review.review,
    policy.policy,
    budgets.budgets,
    keys.keys,
    deletions.delete,
    deletions.deletions,
    deletions.retention,
    backup.backup,
    backup.restore,
    reprocess.reprocess,
    doctor.doctor,
):
    cli.add_command(command)

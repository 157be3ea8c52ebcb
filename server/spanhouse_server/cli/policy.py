"""``spanhouse policy``: check policy files, and run the tests that stand in them. Asks no server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from spanhouse.canonical import canonical_json
from spanhouse.errors import ConfigurationError
from spanhouse_runtime.policies.cases import CaseResult, run_cases
from spanhouse_runtime.policies.checking import findings
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.policy_file import Page, merged, read_pages
from spanhouse_server.cli import base

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """Policies of agents: what is wrong with a file, and whether it decides as its tests say."""


@policy.command()
@click.argument("file", type=FILE)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@base.json_option
def check(file: Path, *, strict: bool, as_json: bool) -> None:
    """Check a policy file and all it extends; exit code 1 where something is wrong.

    Errors are keys and values that cannot be meant, rules that never match because an earlier one takes their calls,
    names used twice, files that extend one another in a circle. Warnings are grants that have ended, and leave for
    actions that are always asked.

    \b
    Example:  spanhouse policy check policy.yaml
    """
    try:
        pages = read_pages(file)
        found = findings(pages, merged(pages), datetime.now(UTC))
    except ConfigurationError as error:
        if as_json:
            lines = str(error).splitlines()
            base.print_json({"file": str(file), "findings": [{"severity": "error", "message": line} for line in lines]})
            raise SystemExit(1) from None
        base.fail(base.clean(error))
    if as_json:
        rows = [{"file": f.path, "line": f.line, "severity": f.severity, "message": f.message} for f in found]
        base.print_json({"file": str(file), "fingerprint": merged(pages).fingerprint, "findings": rows})
    for finding in () if as_json else found:
        click.echo(base.clean(finding), err=True)
    if any(strict or finding.severity == "error" for finding in found):
        raise SystemExit(1)
    if not as_json:
        click.echo(f"{file}: {_size(pages)}, version {merged(pages).fingerprint}")


@policy.command()
@click.argument("file", type=FILE)
@click.option("--all-rules", is_flag=True, help="Fail where a rule decides in none of the tests.")
@base.json_option
def test(file: Path, *, all_rules: bool, as_json: bool) -> None:
    """Run the tests in a policy file; exit code 1 where one fails.

    \b
    Example:  spanhouse policy test policy.yaml
    """
    pages, decided = _loaded(file)
    tested = run_cases(pages, decided)
    failed = bool(tested.failed) or (all_rules and bool(tested.unreached))
    if as_json:
        rows = [_row(result) for result in tested.results]
        base.print_json({"file": str(file), "passed": not failed, "tests": rows, "unreached": list(tested.unreached)})
        raise SystemExit(int(failed))
    for result in tested.failed:
        click.echo(base.clean(_told(result)), err=True)
    reached = tested.rules - len(tested.unreached)
    click.echo(f"{len(tested.results)} tests, {len(tested.failed)} failed; {reached} of {tested.rules} rules reached")
    if tested.unreached:
        click.echo(f"reached by no test: {', '.join(base.clean(name) for name in tested.unreached)}")
    if not tested.results:
        base.fail(f"{file} holds no tests: write them under 'tests:'")
    raise SystemExit(int(failed))


def _loaded(file: Path) -> tuple[list[Page], Policy]:
    try:
        pages = read_pages(file)
        return pages, merged(pages)
    except ConfigurationError as error:
        base.fail(base.clean(error))


def _size(pages: list[Page]) -> str:
    documents = [page.document for page in pages]
    rules, grants = sum(len(d.rules) for d in documents), sum(len(d.grants) for d in documents)
    return f"no problems in {rules} rules and {grants} grants"


def _row(result: CaseResult) -> dict[str, object]:
    return {
        "name": result.name,
        "file": result.path,
        "line": result.line,
        "passed": result.passed,
        "expected": {"decision": result.case.expect.value, "rule": result.case.rule or None},
        "decided": {
            "decision": result.verdict.decision.value,
            "rule": result.verdict.rule,
            "why": result.verdict.why or None,
        },
    }


def _told(result: CaseResult) -> str:
    case, verdict = result.case, result.verdict
    expected = case.expect.value + (f" by {case.rule!r}" if case.rule else "")
    decided = f"{verdict.decision.value} by {verdict.rule!r}" + (f" ({verdict.why})" if verdict.why else "")
    call = f"{case.tool} {canonical_json(case.arguments)[:200]}"
    return f"{result.path}:{result.line}: {result.name}: expected {expected}, decided {decided}: {call}"

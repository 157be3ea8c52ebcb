"""A policy's own tests, as they stand in its file: what each came to, and which rules none of them reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanhouse_runtime.policy import ALLOWLIST_RULE, Caller, Policy, Verdict
from spanhouse_runtime.policy_file import Case, Page


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What one test came to, and where it stands."""

    path: str
    line: int
    case: Case
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the decision is the one expected, by the rule that was named."""
        expected = self.verdict.decision is self.case.expect
        return expected and self.case.rule in {"", self.verdict.rule}

    @property
    def name(self) -> str:
        """What the test is called."""
        return self.case.name or f"{self.case.tool}: {self.case.expect.value}"


@dataclass(frozen=True, slots=True)
class Tested:
    """What a policy's tests came to.

    Attributes:
        results: each test, in the order of the file.
        unreached: rules and grants that decided in none of them, and ``allowlist`` where there is one.
        rules: how many there are of those.
    """

    results: tuple[CaseResult, ...]
    unreached: tuple[str, ...]
    rules: int

    @property
    def failed(self) -> list[CaseResult]:
        """The tests that did not come to what they expect."""
        return [result for result in self.results if not result.passed]


def run_cases(pages: Sequence[Page], policy: Policy) -> Tested:
    """Return what the tests in these files come to, judged by the policy the files make together."""
    results = tuple(
        CaseResult(page.path, page.source.line(("tests", place)), case, verdict_of(policy, case))
        for page in pages
        for place, case in enumerate(page.document.tests)
    )
    names = [rule.name for rule in policy.rules] + [grant.rule for grant in policy.grants]
    names += [ALLOWLIST_RULE] if policy.allow else []
    reached = {result.verdict.rule for result in results}
    return Tested(results, tuple(name for name in names if name not in reached), len(names))


def verdict_of(policy: Policy, case: Case) -> Verdict:
    """Return what a policy says of a test's call."""
    caller = Caller(frozenset(case.roles), case.tenant, case.user, case.agent, case.run, case.at)
    return policy.decide(case.tool, case.arguments, caller, action=case.action)

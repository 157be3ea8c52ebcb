"""Race one budget: 8 threads in each of 4 processes, thousands of reservations, a tenth of the processes killed.

Passes where spending never exceeds the limit and what the dead held is free again in less than 30 s.

    python benchmarks/budget_race.py [SQLALCHEMY_URL]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import BudgetRefused
from spanhouse_runtime.budgets import Budget, BudgetStore, Scope
from spanhouse_runtime.budgets.store import LEASE_SECONDS
from spanhouse_runtime.guard import Subject

RACER = Path(__file__).parents[1] / "tests" / "runtime" / "budgets" / "racer.py"
TOKENS = StopCode.MAX_TOKENS
ROUNDS, WAVES, PROCESSES = 32, 5, 4
"""Five waves of four processes of eight threads, 32 reservations a thread: 5,120; two processes are killed."""
LIMIT = 20_000
LEASE_BOUND = 30.0


def main() -> None:
    """Run the race and print what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/race.db"
        settled, killed = 0, 0
        began = time.monotonic()
        for wave in range(WAVES):
            command = [sys.executable, str(RACER), url, str(LIMIT), str(ROUNDS), str(LEASE_SECONDS)]
            dying = 1 if wave in {1, 3} else 0
            racers = [
                subprocess.Popen(
                    [*command, *(["--die"] if n < dying else [])],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for n in range(PROCESSES)
            ]
            for racer in racers:
                assert racer.stdout is not None
                racer.stdout.readline()
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            answers = [racer.communicate()[0] for racer in racers]
            killed += answers.count("")
            settled += sum(int(answer) for answer in answers if answer)
        took = time.monotonic() - began
        store = BudgetStore(url, [Budget(scope=Scope.TENANT_DAY, max_tokens=LIMIT)])
        use = store.report(Subject("r", tenant="acme"))["tenant/day"]["max_tokens"]
        print(f"{WAVES * PROCESSES * 8 * ROUNDS} attempts in {took:.1f} s, {killed} processes killed")
        print(
            f"used {use['used']} of {LIMIT} (settled by the living {settled}), {use['reserved']} still held by the dead"
        )
        assert settled <= use["used"] <= LIMIT, "the budget was passed"
        freed = _until_free(store, LIMIT - use["used"])
        store.close()
        print(f"all that is left could be reserved after {freed:.1f} s")
        assert freed < LEASE_BOUND, "what the dead held was not freed in time"


def _until_free(store: BudgetStore, left: int) -> float:
    began = time.monotonic()
    while left and time.monotonic() - began < 2 * LEASE_BOUND:
        try:
            store.release(store.reserve(Subject("after", tenant="acme"), {TOKENS: left}))
            break
        except BudgetRefused:
            time.sleep(0.25)
    return time.monotonic() - began


main()

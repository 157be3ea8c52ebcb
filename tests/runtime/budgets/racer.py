"""A process of eight threads that draw on one budget as fast as they can; started by the race's test.

Says "ready" and waits for a line before it begins; prints what it settled in the end. With ``--die`` it is killed in
the middle by its own hand, holding reservations.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading

from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import BudgetRefused
from spanhouse_runtime.budgets import Budget, BudgetStore, Scope
from spanhouse_runtime.guard import Subject


def main() -> None:
    url, limit, rounds, lease = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    dies = "--die" in sys.argv
    store = BudgetStore(url, [Budget(scope=Scope.TENANT_DAY, max_tokens=limit)], lease_seconds=lease)
    settled: list[int] = []
    # All start at once, or one of them may find nothing left to race for.
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    def draw(seed: int) -> None:
        rng = random.Random(seed)
        for n in range(rounds):
            asked = rng.randint(1, 20)
            try:
                held = store.reserve(Subject(f"run-{seed}-{n}", tenant="acme"), {StopCode.MAX_TOKENS: asked})
            except BudgetRefused:
                continue
            if dies and n >= rounds // 8:
                os.kill(os.getpid(), signal.SIGKILL)
            taken = rng.randint(0, asked)
            store.settle(held, {StopCode.MAX_TOKENS: taken})
            settled.append(taken)

    threads = [threading.Thread(target=draw, args=(os.getpid() * 100 + n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    sys.stdout.write(f"{sum(settled)}\n")


main()

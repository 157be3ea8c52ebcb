"""However a worker process starts and ends, all it did arrives."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.support.otlp_sink import OtlpSink

SCRIPT = """
import asyncio, multiprocessing, os, sys, threading
import spanhouse as sh
_, url, start, end, style = sys.argv

def one(number):
    with sh.run("task", request_id=f"R-{number}") as run:
        with sh.tool_call("look", {"n": number}) as call:
            call.result(number)
        run.event("decision", option=str(number))

def work(numbers):
    if start == "spawn":
        sh.init("shop", url=url)
    if style == "thread":
        threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    else:
        async def main():
            await asyncio.gather(*(later(number) for number in numbers))
        asyncio.run(main())
    if end == "exit":
        # A worker that is recycled a moment after its task, as Celery's are.
        threading.Event().wait(0.4)
        os._exit(0)

async def later(number):
    await asyncio.sleep(0)
    one(number)

if __name__ == "__main__":
    sh.init("shop", url=url)
    with sh.run("parent"):
        pass
    context = multiprocessing.get_context(start)
    # A spawned worker takes a second to start: four of them do the twenty tasks, a forked one does a task each.
    each = 5 if start == "spawn" else 1
    for first in range(0, 20, 5 if each == 1 else 10):
        count = 5 if each == 1 else 2
        tasks = [range(first + place * each, first + (place + 1) * each) for place in range(count)]
        workers = [context.Process(target=work, args=(numbers,)) for numbers in tasks]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
        assert {worker.exitcode for worker in workers} == {0}
    assert sh.flush(20)
"""


@pytest.mark.parametrize("style", ["thread", "asyncio"])
@pytest.mark.parametrize("end", ["exit", "normal"])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_twenty_of_twenty_arrive(sink: OtlpSink, tmp_path: object, start: str, end: str, style: str) -> None:
    """Twenty tasks in recycled workers: each run's spans and events are there, from the worker or from its parent."""
    script = f"{tmp_path}/workers.py"
    with open(script, "w") as file:  # noqa: PTH123 - spawned workers import the script by its name
        file.write(SCRIPT)
    subprocess.run(
        [sys.executable, "-Wignore::DeprecationWarning", script, sink.url, start, end, style], check=True, timeout=100
    )
    told = sorted(int(log.data["option"]) for log in sink.logs_named("decision"))
    assert sorted(set(told)) == list(range(20))
    runs = {span.attributes["spanhouse.request_id"] for span in sink.spans if span.name == "invoke_agent task"}
    assert len(runs) == 20
    assert len({span.span_id for span in sink.spans if span.name == "execute_tool look"}) == 20
    assert len({log.attributes["spanhouse.run_id"] for log in sink.logs_named("run.end")}) == 21

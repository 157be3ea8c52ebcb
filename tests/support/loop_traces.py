"""Forty runs that go in circles and forty that do honest work, made from a seed.

A trace is what a guard would see: calls with their results or errors, and what the model says. Honest traces are the
kinds that a careless guard stops: pages of one list, edit and test, polling, retries that succeed, many short answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

WORDS = (
    *("order", "refund", "ticket", "page", "report", "build", "index", "error"),
    *("status", "price", "stock", "user", "mail", "query", "table"),
)


@dataclass(frozen=True)
class Step:
    """A call with its result or error, or a text of the model (``tool`` is empty)."""

    tool: str = ""
    arguments: Any = None
    result: str = ""
    error: str = ""
    polling: bool = False


@dataclass(frozen=True)
class Trace:
    """One run."""

    name: str
    steps: tuple[Step, ...]


def prose(rng: random.Random, words: int = 12) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words)) + f" {rng.randrange(10**6)}"


def said(text: str) -> Step:
    return Step(result=text)


# --- runs that go in circles ---------------------------------------------------------------------------------------


def same_call(rng: random.Random) -> Iterator[Step]:
    """The same call over and over, its arguments written in another order each time."""
    query, answer = prose(rng, 3), prose(rng)
    for _ in range(rng.randint(5, 12)):
        items = [("query", query), ("limit", 10), ("page", 1)]
        rng.shuffle(items)
        yield Step("search", dict(items), answer)


def same_call_with_a_clock(rng: random.Random) -> Iterator[Step]:
    """The same call over and over; only a time stamp in the answer changes."""
    for n in range(20):
        yield Step("get_order", {"id": 7}, f"not found (served at 12:{n:02d}:{rng.randrange(60):02d})")


def circle(rng: random.Random) -> Iterator[Step]:
    """A circle of two to four calls."""
    tools = rng.sample(WORDS, rng.randint(2, 4))
    answers = {tool: prose(rng) for tool in tools}
    for _ in range(5):
        for tool in tools:
            yield Step(tool, {"id": 1}, answers[tool])


def same_error(rng: random.Random) -> Iterator[Step]:
    """Another call each time, the same error each time; its ids differ."""
    for n in range(8):
        yield Step(rng.choice(WORDS), {"n": n}, error=f"upstream refused request {rng.randrange(10**9):09d}: quota")


def storm(rng: random.Random) -> Iterator[Step]:
    """One tool tried again and again with other arguments and other errors."""
    for n in range(9):
        yield Step("http_get", {"url": f"/{n}"}, error=f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.choice(WORDS)}")


def rephrased(rng: random.Random) -> Iterator[Step]:
    """The question is put in other words each time and the answer stays the same."""
    answer = prose(rng)
    for _ in range(10):
        yield Step("search", {"query": prose(rng, 4)}, answer)


def says_it_again(rng: random.Random) -> Iterator[Step]:
    """The model announces the same thing before every call."""
    text = f"Let me check the {rng.choice(WORDS)} once more."
    for n in range(6):
        yield said(text)
        yield Step("look", {"n": n}, prose(rng))


def stuck_record(rng: random.Random) -> Iterator[Step]:
    """Two answers that repeat one sentence without end."""
    for _ in range(2):
        yield said(prose(rng) + f" I will now {rng.choice(WORDS)} the {rng.choice(WORDS)}." * 30)


LOOPS: tuple[Callable[[random.Random], Iterator[Step]], ...] = (
    same_call,
    same_call_with_a_clock,
    circle,
    same_error,
    storm,
    rephrased,
    says_it_again,
    stuck_record,
)

# --- runs that do honest work --------------------------------------------------------------------------------------


def pages(rng: random.Random) -> Iterator[Step]:
    """Page after page of one list, the last ones empty."""
    for page in range(rng.randint(8, 20)):
        yield Step("list_orders", {"page": page}, prose(rng) if page < 15 else "[]")


def edit_and_test(rng: random.Random) -> Iterator[Step]:
    """Edit, run the tests, read the failure, edit again."""
    for n in range(rng.randint(4, 9)):
        yield said(f"Attempt {n + 1}: {prose(rng, 6)}")
        yield Step("edit", {"line": rng.randrange(500), "text": prose(rng, 4)}, "ok")
        yield Step("run_tests", {}, f"{9 - n} failed: {prose(rng, 5)}")


def declared_polling(rng: random.Random) -> Iterator[Step]:
    """A job asked for its state by a tool that is meant for it."""
    yield Step("start_job", {"job": 4}, "started")
    for _ in range(rng.randint(10, 30)):
        yield Step("job_status", {"job": 4}, "running", polling=True)
    yield Step("job_status", {"job": 4}, "done", polling=True)


def polling_nobody_declared(rng: random.Random) -> Iterator[Step]:
    """The same with a tool that nobody declared, whose answer shows that it goes on."""
    for percent in range(0, 100, rng.choice([12, 15, 20])):
        yield Step("build_status", {"id": 3}, f"{percent} % built")
    yield said("The build is done.")


def retries_that_succeed(rng: random.Random) -> Iterator[Step]:
    """Every call fails once or twice before it works."""
    for n in range(6):
        for _ in range(rng.randint(1, 2)):
            yield Step("http_get", {"url": f"/{n}"}, error="503 service unavailable")
        yield Step("http_get", {"url": f"/{n}"}, prose(rng))


def many_small_answers(rng: random.Random) -> Iterator[Step]:
    """A batch of writes that are all answered alike."""
    for n in range(rng.randint(10, 30)):
        yield Step("set_price", {"sku": n, "usd": rng.randrange(100)}, "ok")


def read_and_write(rng: random.Random) -> Iterator[Step]:
    """Two tools in turn, each time about something else."""
    for n in range(10):
        yield Step("read_row", {"row": n}, prose(rng))
        yield Step("write_row", {"row": n}, "written")


def looks_again(rng: random.Random) -> Iterator[Step]:
    """The same file read a few times, with work in between."""
    text = prose(rng, 40)
    for n in range(5):
        yield Step("read_file", {"path": "a.py"}, text)
        yield Step("search", {"query": prose(rng, 3)}, prose(rng))
        yield Step("think", {"n": n}, prose(rng))


def tables_and_lists(rng: random.Random) -> Iterator[Step]:
    """Answers with tables, rules and code that look alike line by line."""
    yield said("| sku | price |\n|-----|-------|\n" + "".join(f"| {n} | {rng.random():.2f} |\n" for n in range(40)))
    yield said("```\n" + "    return None\n" * 40 + "```\nThat is all of it.")
    yield said("=" * 200)


def different_errors(rng: random.Random) -> Iterator[Step]:
    """Things go wrong in different ways, slowly enough to be no storm, and then right."""
    for n in range(5):
        yield Step(
            WORDS[n], {"n": n}, error=f"{WORDS[n]} {rng.choice(['missing', 'locked', 'too large'])} in {WORDS[-n]}"
        )
        yield Step("think", {"n": n}, prose(rng))


HONEST: tuple[Callable[[random.Random], Iterator[Step]], ...] = (
    pages,
    edit_and_test,
    declared_polling,
    polling_nobody_declared,
    retries_that_succeed,
    many_small_answers,
    read_and_write,
    looks_again,
    tables_and_lists,
    different_errors,
)


def corpus(kinds: tuple[Callable[[random.Random], Iterator[Step]], ...], count: int, seed: int) -> list[Trace]:
    """Return ``count`` traces, the kinds in turn."""
    rng = random.Random(seed)
    made = []
    for n in range(count):
        kind = kinds[n % len(kinds)]
        made.append(Trace(f"{kind.__name__}-{n}", tuple(kind(rng))))
    return made

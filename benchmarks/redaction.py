"""CPU time of redaction, per span, on GenAI spans of about 1.1 kB: before the store, and before the journal.

Usage: python -m benchmarks.redaction [--spans 20160] [--body 168] [--repeat 3] [--secrets 0.0]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from benchmarks.normalise import START_NS, body

from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.policy import read
from spanhouse_collector.records import Normalised, RawRecord
from spanhouse_collector.redaction.gate import Gate
from spanhouse_collector.redaction.guard import BeforeJournal
from spanhouse_collector.redaction.settings import MASKED, Redaction

SEED = 7
PLANTED = b"sk-proj-" + b"aB3" * 12
"""What takes the place of words of the same length where secrets are asked for."""


def bodies(count: int, spans: int, share: float, seed: int) -> list[bytes]:
    """Return requests in which about a share of the spans holds one secret."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        planted = bytearray(body(rng, spans))
        for _ in range(round(spans * share)):
            at = planted.find(b"the order refund", rng.randrange(len(planted)))
            word = planted.find(b" ", rng.randrange(len(planted) - 1000)) if at < 0 else at
            if planted[word : word + len(PLANTED)].replace(b" ", b"").isalpha():
                planted[word : word + len(PLANTED)] = b" " + PLANTED[1:] if at < 0 else PLANTED
        made.append(bytes(planted))
    return made


def best(run: Callable[[], object], repeat: int) -> float:
    """Return the least seconds of CPU that a run took; the first, which warms up, does not count."""
    run()
    times = []
    for _ in range(repeat):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print microseconds of CPU a span, of all threads, for each place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=20_160)
    parser.add_argument("--body", type=int, default=168)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--secrets", type=float, default=0.0, help="share of spans that hold a secret")
    options = parser.parse_args()
    made = bodies(max(options.spans // options.body, 1), options.body, options.secrets, SEED)
    records = [RawRecord("traces", each, START_NS // 1000) for each in made]
    normalised: Normalised = Normaliser()(records)
    gate = Gate(MASKED)
    journal = BeforeJournal(Redaction(read("default: {redact_before_journal: true}"), b"key"))
    off = Gate(Redaction(read("default: {capture_content: false}"), b"key"))
    spans = normalised.counts.spans
    size = sum(map(len, made)) / spans
    print(f"{spans} spans of {size:.0f} B, {gate(normalised).redacted.total()} secrets in them")
    for name, run in (
        ("before the store", lambda: gate(normalised)),
        ("before the journal", lambda: [journal(record) for record in records]),
        ("content not captured", lambda: off(normalised)),
    ):
        print(f"{name}: {best(run, options.repeat) / spans * 1e6:.2f} µs a span")


if __name__ == "__main__":
    main()

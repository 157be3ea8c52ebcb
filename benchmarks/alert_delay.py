"""From money spent to the page: how long until a webhook hears that a budget was crossed by runs that still go on.

    python -m benchmarks.alert_delay --tenants 12

Each tenant's agent begins a run and, a little later than the one before, makes a call that crosses the line. The time
counted is from the end of that call to the receiver's hearing of it, with the SDK and the server at their defaults. No
run ends before its page has come.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.load import quantile
from benchmarks.server import Server

import spanhouse as sh

TARGET_SECONDS = 15.0
GIVE_UP_SECONDS = 90.0
STAGGER_SECONDS = 1.3
"""No divisor of the intervals inside, so that each tenant meets them at another phase."""

RULES = """\
version: 1
receivers: {{pager: {{webhook: {{url: "{url}"}}}}}}
rules:
  - {{id: day, kind: budget, metric: spend, amount: 10, per: [tenant], window: {{cumulative: day, tz: UTC}}}}
"""


class Pager:
    """A webhook on loopback that notes when each tenant's page came."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.news = threading.Condition()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}/page"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for(self, tenant: str) -> float | None:
        """Return when the tenant's page came, None where none did."""
        with self.news:
            self.news.wait_for(lambda: tenant in self.heard, GIVE_UP_SECONDS)
            return self.heard.get(tenant)


def _handler(pager: Pager) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with pager.news:
                if notice["severity"] == "page":
                    pager.heard[notice["labels"]["tenant"]] = time.perf_counter()
                pager.news.notify_all()
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the figures alone on the screen."""

    return Handler


def overspend(tenant: str, pager: Pager, delays: dict[str, float]) -> None:
    """Spend $12 of $10 in one run, and note how long it took until somebody was paged; inf where nobody was."""
    with sh.run("night shift", tenant=tenant, agent="night"):
        for usd in (4.0, 8.0):
            with sh.model_call("gpt-4o-mini", provider="openai") as call:
                call.response(input_tokens=1_000, output_tokens=100, cost_usd=usd)
            spent = time.perf_counter()
            time.sleep(0.2)
        heard = pager.wait_for(tenant)
        delays[tenant] = heard - spent if heard else float("inf")


def main() -> None:
    """Start the server, overspend, print the delays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=12)
    arguments = parser.parse_args()
    pager = Pager()
    with tempfile.TemporaryDirectory(prefix="spanhouse-bench-") as directory:
        rules = Path(directory, "rules.yaml")
        rules.write_text(RULES.format(url=pager.url), encoding="utf-8")
        with Server(Path(directory, "data"), rules=str(rules)) as server:
            sh.init(service="bench", url=server.url)
            delays: dict[str, float] = {}
            threads = []
            for number in range(arguments.tenants):
                threads.append(threading.Thread(target=overspend, args=(f"tenant-{number}", pager, delays)))
                threads[-1].start()
                time.sleep(STAGGER_SECONDS)
            for thread in threads:
                thread.join()
            sh.shutdown()
    pager.server.shutdown()
    ordered = sorted(delays.values())
    print(f"{len(ordered)} runs overspent and went on")
    print(
        f"seconds to the page: least {ordered[0]:.1f}, p50 {quantile(ordered, 0.5):.1f}, most {ordered[-1]:.1f} "
        f"(target: at most {TARGET_SECONDS:.0f})"
    )
    if ordered[-1] > TARGET_SECONDS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

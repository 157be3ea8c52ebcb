"""What to show where no run is: the shortest program that makes one."""

from __future__ import annotations

import streamlit as st

from spanhouse_dashboards import settings

SNIPPET = """# pip install spanhouse
import spanhouse as sh

sh.init(service="my-first-agent", url="{url}")


@sh.tool
def lookup(order_id: str) -> dict:
    return {{"order": order_id, "state": "delivered"}}


with sh.run("refund", input="Where is order 1842?") as run:
    lookup("1842")
    run.output("It was delivered.")
    run.outcome("success")
sh.flush()
"""


def show(*, filtered: bool) -> None:
    """Say that nothing was found, and what to do: loosen the filters, or send a first run."""
    if filtered:
        st.info(
            "No run matches. Widen the window or clear a filter above.",
            icon=":material/filter_alt_off:",
        )
        return
    with st.container(border=True):
        st.subheader("Send your first run", icon=":material/rocket_launch:")
        st.caption("Nothing has arrived yet. Run this and reload: the run is here within two seconds.")
        st.code(SNIPPET.format(url=settings.current().url), language="python")
        st.caption(
            "Already on OpenTelemetry? Point `OTEL_EXPORTER_OTLP_ENDPOINT` at the same address; "
            "GenAI, OpenInference, Langfuse and other conventions are understood."
        )

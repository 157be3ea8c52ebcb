"""System: is every record accounted for, does the server keep up, and what is it made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl
import streamlit as st

from spanhouse_dashboards import data, text
from spanhouse_dashboards.figures.ledger import by_minute, ledger

RENEW: Final = "10s"
WINDOWS: Final = {"1h": "1 hour", "6h": "6 hours", "24h": "24 hours"}
SLOW_SECONDS: Final = 60
_COUNTS: Final = {
    "received": "Received",
    "stored": "Stored",
    "duplicated": "Sent twice",
    "rejected": "Refused",
    "sampled_out": "Sampled out",
    "late": "Late",
}
_MEANINGS: Final = {
    "received": "Spans, log records and data points that came in the window; the sum of the next four and what waits.",
    "stored": "Written to the store for the first time.",
    "duplicated": "Came before, with the same end; they replace their equal.",
    "rejected": "Refused one by one, and the sender was told why.",
    "sampled_out": "Left out by a sampling rule.",
    "late": "Of those stored: ended more than an hour before they came.",
}


@st.fragment(run_every=RENEW)
def page() -> None:
    """Show all of it, renewed every ten seconds."""
    asked = st.query_params.get("since", "1h")
    window = st.segmented_control(
        "Window",
        list(WINDOWS),
        format_func=WINDOWS.__getitem__,
        default=asked if asked in WINDOWS else "1h",
        required=True,
        label_visibility="collapsed",
        key="window",
    )
    st.query_params["since"] = str(window)
    with data.told(), st.skeleton(height=320):
        found = data.system()
        health(found)
        records(data.ledger(str(window)))
        if found["store"] is None:
            st.caption("Journal, store and disks are of all tenants at once: a key of * shows them.")
            return
        journal(found)
        trail(found)
        store(found)


def health(found: data.Json) -> None:
    """Say whether the server takes telemetry, and whether records are missing."""
    for reason in found["reasons"]:
        st.error(text.inert(reason), icon=":material/cloud_off:")
    for gap in (found["ledger"] or {}).get("gaps", ()):
        st.error(
            f"{text.count(gap['missing'])} records received in the minute of {text.clock(gap['minute'])} are "
            "unaccounted for: search the server's log for that minute.",
            icon=":material/report:",
        )
    failed = (found["store"] or {}).get("error")
    if failed:
        st.error(f"The store does not answer: {text.inert(failed)}", icon=":material/cloud_off:")
    drift = (found["schema"] or {}).get("drift", ())
    if drift:
        st.warning(f"The store's tables differ: {text.inert('; '.join(drift))}", icon=":material/schema:")
    if not (found["reasons"] or failed or drift or (found["ledger"] or {}).get("gaps")):
        st.caption(":material/check_circle: Takes telemetry, and every record of the last day is accounted for.")


def records(found: data.Json) -> None:
    """Show what became of the records of the window: totals, minute by minute, by source, and why some were refused."""
    totals = found["totals"]
    st.subheader("Records", anchor=False)
    with st.grid(len(_COUNTS), min_column_width=130):
        for name, label in _COUNTS.items():
            st.metric(label, text.count(totals[name]), border=True, help=_MEANINGS[name])
    minutes = by_minute(found["minutes"])
    if not minutes:
        st.caption("Nothing came in this window.")
        return
    st.plotly_chart(ledger(minutes), key="ledger", config={"displayModeBar": False}, alt="Records by minute")
    if found["truncated"]:
        st.caption("Only the newest lines of the window are shown here; the totals are of all of it.")
    sources, refusals = st.tabs(["By source", "Refused"], key="kinds")
    with sources:
        _table(_by_source(found["minutes"]), key="sources", empty="None.")
    with refusals:
        reasons = sorted(totals["reasons"].items(), key=lambda item: -int(item[1]))
        _table([{"Reason": why, "Records": count} for why, count in reasons], key="reasons", empty="None refused.")


def _by_source(lines: Iterable[data.Json]) -> list[data.Json]:
    sums: dict[tuple[str, str, str], data.Json] = {}
    for line in lines:
        key = (text.known(line["tenant"]), text.known(line["source"]), text.known(line["signal"]))
        names = dict(zip(("Tenant", "Source", "Signal"), key, strict=True))
        found = sums.setdefault(key, {**names, **dict.fromkeys(_COUNTS.values(), 0)})
        for name, label in _COUNTS.items():
            found[label] += line[name]
    return sorted(sums.values(), key=lambda row: -int(row["Received"]))


def journal(found: data.Json) -> None:
    """Show what waits to be stored, and what was set aside."""
    waiting, letters = found["journal"], found["dead_letters"]
    st.subheader("Journal", anchor=False)
    with st.grid(4, min_column_width=150):
        st.metric("Waiting", text.count(waiting["pending_items"]), border=True, help="Acknowledged, not yet stored.")
        st.metric(
            "Oldest",
            f"{waiting['pending_seconds']:.1f} s",
            border=True,
            help=f"Age of the oldest that waits; over {SLOW_SECONDS} s the store is away or too slow.",
        )
        st.metric("On disk", f"{text.size(waiting['bytes'])} of {text.size(waiting['limit'])}", border=True)
        st.metric("Dead letters", text.count(letters["letters"]), border=True, help="Set aside whole; see the reasons.")
    if letters["letters"]:
        rows = [{"Reason": why, "Records": count} for why, count in letters["reasons"].items()]
        st.caption(f"Dead letters lie in {text.inert(letters['folder'])}, the newest from {letters['newest_at']}.")
        _table(rows, key="letters", empty="")


def trail(found: data.Json) -> None:
    """Show when the audit trail was signed last, and whether that holds."""
    audit = found["audit"]
    st.subheader("Audit trail", anchor=False)
    if audit["copies"]:
        st.error(text.inert(audit["copies"]), icon=":material/report:")
    for named, what in ((audit["bad"], "does not verify"), (audit["late"], "is over an hour old")):
        if named:
            st.error(f"The last checkpoint {what}: {text.inert(', '.join(named))}", icon=":material/report:")
    if not audit["tenants"]:
        st.caption("Nothing to be signed yet.")
        return
    beyond = "copied elsewhere" if audit["anchored"] else "not copied elsewhere, see docs/audit.md"
    holds = "verifies" if audit["verifies"] else "does not verify"
    st.caption(
        f"The last checkpoint is of {text.clock(audit['last_at'])} and {holds}; "
        f"{text.count(audit['tenants'])} tenants; {beyond}."
    )


def store(found: data.Json) -> None:
    """Show the store's size by table, the disks and the versions."""
    st.subheader("Store", anchor=False)
    held, versions = found["store"], found["versions"]
    rows = [
        {"Table": each["table"], "Rows": each["rows"], "Size": text.size(each["bytes"])}
        for each in sorted(held["tables"], key=lambda each: -int(each["bytes"]))
    ]
    left, right = st.columns(2)
    with left:
        st.caption(
            f"{text.inert(held['url'])}: {text.size(held['bytes'])}. Rows count older versions until they are merged."
        )
        _table(rows, key="tables", empty="The store does not answer.")
    with right:
        facts = {
            "Spanhouse": versions["spanhouse"],
            "Engine": versions["engine"],
            "Python": versions["python"],
            "Schema": f"{(found['schema'] or {}).get('number', text.UNKNOWN)} of {versions['schema']}",
            **{
                f"Disk of the {each['of']}": f"{text.size(each['free'])} free of {text.size(each['total'])}"
                for each in found["disks"]
            },
        }
        st.caption("Versions and disks")
        _table([{"What": name, "Is": str(value)} for name, value in facts.items()], key="versions", empty="")


def _table(rows: list[data.Json], *, key: str, empty: str) -> None:
    if rows:
        st.dataframe(pl.DataFrame(rows), key=key, hide_index=True, alt=key.capitalize())
    elif empty:
        st.caption(empty)


st.title("System", anchor=False)
page()

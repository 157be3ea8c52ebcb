"""What every figure shares: a colour-blind-safe palette, transparent ground, text that the page's theme colours."""

from __future__ import annotations

import html
from typing import Any, Final

import plotly.graph_objects as go

# Mid-tone colours that keep at least 3:1 against both the white and the dark page and stay apart for the common
# kinds of colour blindness. Every figure also tells its categories apart by label, symbol or position.
BLUE: Final = "#4484DD"
ORANGE: Final = "#D9822B"
TEAL: Final = "#159E86"
VIOLET: Final = "#8B6BD6"
RED: Final = "#D6543A"
PINK: Final = "#C659A0"
OLIVE: Final = "#A88B12"
GRAY: Final = "#7F8B9A"

CLASS_COLORS: Final = {
    "agent": VIOLET,
    "workflow": VIOLET,
    "model": BLUE,
    "tool": TEAL,
    "retrieval": OLIVE,
    "embedding": OLIVE,
    "guardrail": PINK,
    "evaluator": PINK,
    "step": GRAY,
    "other": GRAY,
}
FAMILY_COLORS: Final = {
    "finished": TEAL,
    "limit": ORANGE,
    "control": VIOLET,
    "failed": RED,
    "handed over": BLUE,
    "unclear": GRAY,
}
GRID: Final = "rgba(127,139,154,0.18)"


def plain(text: object) -> str:
    """Return text that Plotly shows letter for letter; it would otherwise read a small set of HTML tags."""
    return html.escape(str(text), quote=False)


def canvas(*, height: int, **layout: Any) -> go.Figure:  # noqa: ANN401 - Plotly's layout takes anything
    """Return an empty transparent figure with our margins, grid and hover style."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"align": "left"},
        showlegend=False,
        dragmode=False,
        font={"size": 12},
    )
    figure.update_layout(**layout)
    figure.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True, fixedrange=True)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True, fixedrange=True)
    return figure


def tinted(color: str, alpha: float) -> str:
    """Return a hex colour with an opacity.

    >>> tinted("#4484DD", 0.2)
    'rgba(68,132,221,0.2)'
    """
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"

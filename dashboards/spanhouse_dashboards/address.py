"""Widgets whose value is the page's address: a link sets them, and what is chosen can be sent as a link.

Streamlit's own binding of widgets to query parameters is not used: it keeps values of the page before when a link
leads to a page with a widget of the same name, and it writes labels where other pages link by value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st


def linked(name: str, default: str | None = None) -> tuple[str, Callable[[], None]]:
    """Return the key and the change callback for a widget that shows query parameter `name`.

    The widget's value is set from the address on every run, so the address is the one place that holds it.
    """
    key = f"address_{name}"
    st.session_state[key] = st.query_params.get(name) or default

    def remember() -> None:
        value = st.session_state[key]
        if value and value != default:
            st.query_params[name] = str(value)
        else:
            st.query_params.pop(name, None)

    return key, remember


def switch(name: str, labels: dict[str, str], default: str) -> str:
    """Show a few options side by side; return the chosen key of `labels`."""
    key, remember = _among(name, labels, default)
    st.segmented_control(
        name.capitalize(),
        list(labels),
        format_func=labels.__getitem__,
        required=True,
        key=key,
        on_change=remember,
        label_visibility="collapsed",
    )
    return str(st.session_state[key])


def menu(name: str, labels: dict[str, str], *, width: int) -> str:
    """Show options in a menu; return the chosen key of `labels`, by default the first."""
    key, remember = _among(name, labels, next(iter(labels)))
    st.selectbox(
        name.capitalize(),
        list(labels),
        format_func=labels.__getitem__,
        key=key,
        on_change=remember,
        label_visibility="collapsed",
        width=width,
    )
    return str(st.session_state[key])


def choice(name: str, label: str, known: Sequence[str]) -> str | None:
    """Show a menu of known values that also takes any other; return the one that is set."""
    key, remember = linked(name)
    value = st.session_state[key]
    options = [*known, value] if value and value not in known else list(known)
    return st.selectbox(
        label, options, index=None, key=key, on_change=remember, placeholder="Any", accept_new_options=True
    )


def words(
    name: str, label: str, placeholder: str, *, icon: str | None = None, width: int | None = None, bare: bool = False
) -> str:
    """Show a text field; return what it holds, without space around it. A bare one shows no label above it."""
    key, remember = linked(name, "")
    entered = st.text_input(
        label,
        key=key,
        on_change=remember,
        placeholder=placeholder,
        icon=icon,
        width=width or "stretch",
        label_visibility="collapsed" if bare else "visible",
    )
    return entered.strip()


def _among(name: str, labels: dict[str, str], default: str) -> tuple[str, Callable[[], None]]:
    key, remember = linked(name, default)
    if st.session_state[key] not in labels:
        st.session_state[key] = default
    return key, remember

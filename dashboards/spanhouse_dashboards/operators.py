"""What only operators may do on the pages, and what others are told."""

from __future__ import annotations

from typing import Final

LOG_IN: Final = (
    "This is for operators: open the link that the server printed at its start, or "
    "[log in](/ui-login) with the operator token or a key to operate."
)

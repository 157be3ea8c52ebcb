"""How soon the engines' allocators give memory back: set before an engine is loaded, since they read it once.

The embedded engine keeps what it has freed until the thread that freed it allocates again; after a burst of inserts
that was a third of the process. With a fifth of a second, and a thread that gives back, it is much less.
"""

from __future__ import annotations

import os
from typing import Final

import pyarrow as pa

_DECAY: Final = "dirty_decay_ms:200,muzzy_decay_ms:0,background_thread:true"
_VARIABLES: Final = ("JE_MALLOC_CONF", "_RJEM_MALLOC_CONF")
"""Where chDB's and Polars' allocators look. What an operator has set stands."""


def give_back() -> None:
    """Return to the system what Arrow has freed and keeps for itself."""
    pa.default_memory_pool().release_unused()


for _name in _VARIABLES:
    os.environ.setdefault(_name, _DECAY)

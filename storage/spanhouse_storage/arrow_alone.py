"""Arrow without pandas, unless somebody asks for a pandas frame.

At the first conversion of a Python value pyarrow imports pandas if it is installed, a third of a second and 40 MB in
every process, only to ask whether the value is one of its series. For processes that never turn a time in nanoseconds
into a Python object, which is the one thing here that needs pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa


def leave_pandas_out() -> None:
    """Let pyarrow take pandas for not installed until ``to_pandas`` or the like is called, which imports it after all.

    Until then a series given to ``pyarrow.array`` is a sequence like any other, and a time with nanoseconds has no
    ``as_py``. Does nothing where pandas has been imported already.
    """
    if "pandas" in sys.modules:
        return
    hidden = _NoPandas()
    sys.meta_path.insert(0, hidden)
    try:
        # Any conversion of a Python value makes pyarrow look, and it looks of its own accord only once.
        pa.array([0])
    finally:
        sys.meta_path.remove(hidden)


class _NoPandas(MetaPathFinder):
    """Finds no pandas, and leaves every other module to the finders behind it."""

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        """Raise for pandas, as where it is not installed."""
        if fullname == "pandas":
            msg = "pyarrow does without pandas here"
            raise ImportError(msg)

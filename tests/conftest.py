"""Makes ``tests.support`` importable: tests are no package, and pytest puts nothing on the path by itself."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

"""Makes ``tests.support`` importable: tests are no package, and pytest puts nothing on the path by itself.

Servers that tests start take no gRPC unless a test asks for it: its port is fixed, and they run side by side.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ.setdefault("SPANHOUSE_GRPC", "")
# Agents that tests start must not leave control flags in the developer's cache.
os.environ.setdefault("SPANHOUSE_CONTROL_CACHE", "")

if "SPANHOUSE_SPOOL" not in os.environ:
    # What tests record must not wait in the developer's home directory.
    os.environ["SPANHOUSE_SPOOL"] = tempfile.mkdtemp(prefix="spanhouse-spool-")
    atexit.register(shutil.rmtree, os.environ["SPANHOUSE_SPOOL"], ignore_errors=True)

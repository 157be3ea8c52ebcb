"""How a row of `spans` says that no span was sent for it."""

from __future__ import annotations

from typing import Final

FROM_LOG: Final = 1 << 31
"""Flag of a span row that was made from a log record; OTLP leaves the bit unused."""

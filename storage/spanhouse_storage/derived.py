"""What a row says of how it came to be, in bits of its flags that OTLP leaves unused."""

from __future__ import annotations

from typing import Final

FROM_LOG: Final = 1 << 31
"""Flag of a span row that was made from a log record; OTLP leaves the bit unused."""

TRACE_PLACED: Final = 1 << 31
"""Flag of a log row whose record named no trace: the one in the row was worked out."""

SPAN_PLACED: Final = 1 << 30
"""The same of its span."""

BODY_STRUCTURED: Final = 1 << 29
"""Flag of a log row whose body was a map or a list, and is JSON in the row."""

OF_LOGS: Final = TRACE_PLACED | SPAN_PLACED | BODY_STRUCTURED
"""All that a log row says so; a sender's own flags never hold these bits."""

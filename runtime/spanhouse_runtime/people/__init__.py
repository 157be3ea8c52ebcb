"""People beside an agent: who is asked before a call, who is asked for a word, and when a run is handed to somebody."""

# First: the guard needs parts of this package while it is loaded itself.
import spanhouse_runtime.guard  # noqa: F401
from spanhouse_runtime.people.asking import InputAnswer, InputChannel, InputRequest
from spanhouse_runtime.people.bands import Band, Bands
from spanhouse_runtime.people.escalation import EscalationRules, People
from spanhouse_runtime.people.server import ServerApprover

__all__ = [
    "Band",
    "Bands",
    "EscalationRules",
    "InputAnswer",
    "InputChannel",
    "InputRequest",
    "People",
    "ServerApprover",
]

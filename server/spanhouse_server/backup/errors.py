"""What keeps a backup from being made or used."""

from __future__ import annotations

from spanhouse.errors import SpanhouseError


class BackupError(SpanhouseError):
    """A backup cannot be made, trusted or restored; the message says why and what to do."""

"""The one way a delivery fails."""

from __future__ import annotations

from datetime import timedelta

from spanhouse.errors import SpanhouseError


class DeliveryError(SpanhouseError):
    """A notice was not acknowledged by its receiver.

    Attributes:
        permanent: sending the same notice again cannot succeed.
        retry_after: how long the receiver asked to be left alone.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after

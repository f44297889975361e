"""What a session is opened on: what a service has to offer, the local one and the real machine behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.services.ibm import IbmService, connect
    from runner.services.local import LocalService

__all__ = ["IbmService", "LocalService", "connect"]

__getattr__ = face(
    __name__,
    {
        "IbmService": "ibm",
        "LocalService": "local",
        "connect": "ibm",
    },
)

"""What a session is opened on: what a service has to offer, the local one and the real machine behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.services.ibm import IbmMachine, IbmService, connect, snapshot_machine
    from runner.services.local import LocalService

__all__ = ["IbmMachine", "IbmService", "LocalService", "connect", "snapshot_machine"]

__getattr__ = face(
    __name__,
    {
        "IbmMachine": "ibm",
        "IbmService": "ibm",
        "LocalService": "local",
        "connect": "ibm",
        "snapshot_machine": "ibm",
    },
)

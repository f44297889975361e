"""What a run would take, or would have taken: forecast, rehearsal, re-timing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.whatif.affordable import require_time

__all__ = ["require_time"]

__getattr__ = face(__name__, {"require_time": "affordable"})

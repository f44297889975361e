"""What was found, to be looked at by somebody who was not there: figures, the report page, exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.review.figures import bitstrings, convergence, curves, last_counts
    from runner.review.report import illustrate, sweep_page

__all__ = ["bitstrings", "convergence", "curves", "illustrate", "last_counts", "sweep_page"]

__getattr__ = face(
    __name__,
    {
        "bitstrings": "figures",
        "convergence": "figures",
        "curves": "figures",
        "illustrate": "report",
        "last_counts": "figures",
        "sweep_page": "report",
    },
)

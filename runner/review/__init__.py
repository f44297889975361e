"""What was found, to be looked at by somebody who was not there: figures, the report page, exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.review.figures import convergence, curves, histogram
    from runner.review.report import illustrate, sweep_page

__all__ = ["convergence", "curves", "histogram", "illustrate", "sweep_page"]

__getattr__ = face(
    __name__,
    {
        "convergence": "figures",
        "curves": "figures",
        "histogram": "figures",
        "illustrate": "report",
        "sweep_page": "report",
    },
)

"""The refusal of a run that would take longer on this machine than was declared, before anything is created."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runner.declare.config import COMPUTING
from runner.display.words import clock
from runner.errors import ConfigError
from runner.whatif.effort import PATIENCE, effort, in_words
from runner.whatif.forecast import forecast

if TYPE_CHECKING:
    from runner.declare.config import Declaration

PART = 0.1
"""Of what is allowed: so long a trial may take, where that is more than its usual patience."""


def require_time(declaration: Declaration) -> None:
    """Refuse what would take longer than `run.max_compute_time`, by a trial as `forecast` makes it.

    Raises:
        ConfigError: it would, or it cannot be known, with what it would take.
    """
    config = declaration.config
    allowed = config.run.max_compute_seconds
    if allowed is None:
        return
    patience, began = max(PATIENCE, PART * allowed), time.process_time()
    found = forecast(declaration)
    tried = effort(config, found, starting=time.process_time() - began, patience=patience)
    if tried is None:
        raise ConfigError("how long this takes here cannot be tried; leave it out", key=COMPUTING)
    if tried.at_least:
        raise ConfigError(
            f"a trial was given up after {clock(patience)}, so that it is not known how long this takes here; "
            "allow ten times what a job may take, or take fewer qubits, points or shots",
            key=COMPUTING,
        )
    if not tried.fits:
        raise ConfigError(
            f"this takes {in_words(tried)}; allow more, or take fewer evaluations, qubits, points or shots",
            key=COMPUTING,
        )

"""What an optimization comes to: its candidates measured with fresh shots, one sample to choose and another to report.

The lowest of many noisy numbers is biased low, and so is the lowest of a few. So the distinct candidates of an
optimizer (its own answer, the mean of its last iterates, the best point seen) are measured in one job, and the one
chosen there is measured in another, whose energy is unbiased because nothing was chosen by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.display.words import left_out_from
from runner.record.events import Candidates, Estimate, Event

if TYPE_CHECKING:
    import numpy as np

    from runner.optimizer import Candidate, OptimizerResult
    from runner.run.objective import JobStream

MEASURED, EXACT, TRUNCATED, PICK = "measured", "exact", "truncated", "pick"
"""An energy from fresh shots | without shot noise | one that what its simulation left out may have changed by more than
its standard error | the lowest of several noisy ones, biased low."""

Samples = list[tuple["np.ndarray", "np.ndarray"]]
"""For each group of points its energies and their standard errors, shape (C,) each."""
Measure = Callable[[Sequence[tuple["JobStream", "np.ndarray"]]], Samples]
"""Groups of points (stream, parameters (C, P)) → their energies, all in one job of fresh shots."""


def worth(kind: str, stddev: float | None, truncation: float | None, energy: float | None = None) -> str:
    """What an energy is worth: `truncated` where it may be further off than its standard error, or rounding, tells.

    Args:
        kind: what it is worth but for what its simulation left out.
        stddev: its standard error, in the Hamiltonian's unit.
        truncation: by how much what was left out may have changed it; None where nothing can be.
        energy: itself, of whose size rounding is where it is below 1, as in a large unit.
    """
    if kind == PICK or truncation is None:
        return kind
    return TRUNCATED if truncation > max(stddev or 0.0, left_out_from(energy)) else kind


class Noiseless(NamedTuple):
    """What an energy would be without shot noise."""

    energy: float | None = None
    """None where it is not computed."""
    method: str | None = None
    """How it is: statevector | mixture (of all courses of what resets or branches) | density_matrix (with noise) | …"""
    note: str | None = None
    """Why it is not, in words."""

    @property
    def facts(self) -> dict[str, Any]:
        """The same under the names of result.json."""
        return {"exact_energy": self.energy, "exact_method": self.method, "exact_note": self.note}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Where an optimization ended, and what the energy is there."""

    energy: float = math.inf
    """In the Hamiltonian's unit; inf when nothing was evaluated."""
    stddev: float = 0.0
    """Standard error of the energy; of a pick that of the single evaluation, which tells nothing of its bias."""
    parameters: list[float] = field(default_factory=list)
    """Parameter values."""
    kind: str = PICK
    """measured | exact | pick."""
    truncation: float | None = None
    """By how much what its simulation left out may have changed it; None where nothing can be."""
    origin: str = "best"
    """answer | mean | best: which candidate it is."""
    stopped: str | None = None
    """Why it was not measured afresh; None where it was, or where that was not needed."""
    exact_energy: float | None = None
    """Energy at the same parameters without shot noise; None where it is not computed."""
    exact_method: str | None = None
    """How that is computed: statevector | mixture (of all courses) | density_matrix (under the backend's noise) | …"""
    exact_note: str | None = None
    """Why it is not, in words; None where it is, or nobody asks."""

    def error(self, reference: float | None) -> float | None:
        """Distance from what it should have been; None where that is not known, or the energy is a pick."""
        known = reference is not None and self.kind != PICK
        return self.energy - reference if known else None  # type: ignore[operator]

    def resumable(self, found: OptimizerResult) -> bool:
        """Whether the minimization or the measurement of its result was stopped by the session's end."""
        return found.resumable or self.stopped is not None

    def stop_reason(self, found: OptimizerResult) -> str:
        """Why it ended, in words."""
        return (
            found.message if found.resumable or self.stopped is None else f"{found.message}; {self.stopped}"
        )

    @property
    def worth(self) -> str:
        """Measured | exact | truncated | pick."""
        return worth(self.kind, self.stddev, self.truncation, self.energy)

    def row(self) -> dict[str, float | None]:
        """Energy and standard error as a table's row holds them; None where nothing was evaluated.

        Where what the simulation left out may matter more than the standard error, that too.
        """
        seen = math.isfinite(self.energy)
        row = {
            "energy": self.energy if seen else None,
            "stddev": self.stddev if seen and self.kind != PICK else None,
        }
        return row | ({"energy truncation": self.truncation} if self.worth == TRUNCATED else {})

    def outcome(self) -> Mapping[str, Any]:
        """The fields of an experiment's outcome that tell of the energy."""
        return {
            "energy": self.energy,
            "stddev": None if self.kind == PICK else self.stddev,
            "energy_kind": self.worth,
            "sampled": self.kind != EXACT,
            "truncation": self.truncation,
            "exact_energy": self.exact_energy,
            "exact_method": self.exact_method,
            "exact_note": self.exact_note,
            "parameters": self.parameters,
        }


def lowest_seen(stream: JobStream, *, exact: bool) -> Answer:
    """The lowest evaluation of what a stream minimizes: exact where evaluations are, else a pick."""
    best = stream.lowest
    return Answer(
        energy=best.energy, stddev=best.stddev, parameters=best.parameters, kind=EXACT if exact else PICK
    )


def choose(streams: Sequence[JobStream], measure: Measure, record: Callable[[Event], None]) -> list[Answer]:
    """The best candidate of each stream, by one job of fresh shots; where there is one only, nothing is measured."""
    import numpy as np

    groups = [(stream, points_of(stream.candidates)) for stream in streams]
    several = [group for group in groups if len(group[1]) > 1]
    found = dict(
        zip([stream.name for stream, _ in several], measure(several) if several else [], strict=True)
    )
    answers = []
    for stream, points in groups:
        if stream.name not in found:
            (only,) = stream.candidates
            answers.append(Answer(parameters=points[0].tolist(), origin=only.origin))
            continue
        energies, stddevs = found[stream.name]
        best = int(np.argmin(energies))
        origins = [candidate.origin for candidate in stream.candidates]
        record(
            Candidates(
                workload=stream.name,
                candidates=[
                    {"origin": origin, "energy": energy, "stddev": stddev, "parameters": point}
                    for origin, energy, stddev, point in zip(
                        origins, energies.tolist(), stddevs.tolist(), points.tolist(), strict=True
                    )
                ],
                chosen=best,
            )
        )
        answers.append(
            Answer(
                energy=float(energies[best]), stddev=float(stddevs[best]), parameters=points[best].tolist(),
                origin=origins[best],
            )
        )  # fmt: skip
    return answers


def report(
    streams: Sequence[JobStream],
    answers: Sequence[Answer],
    measure: Measure,
    record: Callable[[Event], None],
) -> list[Answer]:
    """The answers with energies by another job of fresh shots."""
    import numpy as np

    groups = [
        (stream, np.array([answer.parameters], dtype=float))
        for stream, answer in zip(streams, answers, strict=True)
    ]
    measured = []
    for stream, answer, (energies, stddevs) in zip(streams, answers, measure(groups), strict=True):
        energy, stddev = float(energies[0]), float(stddevs[0])
        record(
            Estimate(
                workload=stream.name, energy=energy, stddev=stddev, parameters=answer.parameters,
                origin=answer.origin,
            )
        )  # fmt: skip
        measured.append(replace(answer, energy=energy, stddev=stddev, kind=MEASURED))
    return measured


def points_of(candidates: Sequence[Candidate]) -> np.ndarray:
    """Their parameters, shape (C, P)."""
    import numpy as np

    return np.array([candidate.parameters for candidate in candidates], dtype=float)

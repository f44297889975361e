"""What a minimizer asks while the journal knows the answers: told at once, and made up for some jobs at a time.

A resumed run spends most of its time on jobs whose numbers are known. The minimizer goes on with these right away; what
it asked is kept, and for some hundred jobs at a time all else is done that there is to be done: it is checked that what
was asked is what is recorded, jobs are submitted and waited for, and every fact is compared. Whatever is not as
recorded goes the usual way, which alone tells what is wrong. While a minimizer is at work nobody else acts or looks, so
it makes no difference to anybody that its jobs come a little later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.errors import ResumeError
from runner.lazy import np
from runner.optimizer import StopOptimization
from runner.run.objective import Objective, Question, Reply
from runner.runtime.results import UNTOLD, numbers_of

if TYPE_CHECKING:
    from runner.optimizer.method import Gradient, OptimizerConfig
    from runner.record.events import Event
    from runner.run.context import Lab
    from runner.runtime.results import Numbers
    from runner.services.protocol import Pub


class _Asked(NamedTuple):
    """What was asked, and answered without looking further."""

    question: Question
    parameters: np.ndarray
    numbers: list[Numbers]
    """Of every PUB."""
    told: Reply[object]


class Ahead:
    """An objective as a minimizer sees it, which answers at once where the journal knows what comes next.

    Args:
        lab: the session.
        objective: the energy, whose shots no declared standard error decides.
    """

    def __init__(self, lab: Lab, objective: Objective) -> None:
        self._lab = lab
        self._stream = objective.stream
        self._asked: list[_Asked | Mapping[str, object]] = []
        """Not made up for yet; also the steps of the minimizer between."""
        self._known: list[list[Numbers] | None] = []
        """The numbers of the next jobs, the next one last; None where they are more than floats."""
        self._terms = len(objective.terms)
        self._energies, self._probes, self._slope = objective.questions()

    @classmethod
    def of(cls, lab: Lab, energy: object, optimizer: OptimizerConfig) -> Ahead | None:
        """None where nothing is recorded of what comes next, or more is asked for: sampled gradients, overlaps."""
        if type(energy) is not Objective or energy.stream.choice is not None or optimizer.uses_fidelity:
            return None
        ahead = cls(lab, energy)
        sampled = energy.value_and_gradient is not None and ahead._slope is None
        return None if sampled or not lab.ahead(energy.stream.name) else ahead

    @property
    def value_and_gradient(self) -> Gradient | None:
        """As the objective has it."""
        slope = self._slope
        return None if slope is None else lambda parameters: self._answer(slope, parameters)

    def __call__(self, parameters: np.ndarray) -> Any:
        """Energy at parameters of shape (P,), or energies of shape (B,) at parameters of shape (B, P)."""
        return self._answer(self._energies, parameters)

    def with_probes(self, points: np.ndarray) -> np.ndarray:
        """Energies at points of shape (B, P), of which all but the first tell a slope and are no candidates."""
        found: np.ndarray = self._answer(self._probes, points)
        return found

    def iteration(self, progress: Mapping[str, object]) -> None:
        """Report one step of the minimizer, after what it asked before."""
        if self._asked:
            self._asked.append(dict(progress))
        else:
            self._stream.iteration(progress)

    def _answer(self, question: Question, parameters: np.ndarray) -> Any:
        if not self._known:
            self.settle()
            self._known = numbers_of([end.result or () for end in self._lab.ahead(self._stream.name)])
        parameters = parameters.copy()  # which minimizers may change in place
        one = self._told(question, parameters) if self._known else None
        if one is None:
            self.settle()
            return question.usual(parameters)
        self._asked.append(one)
        return one.told.answer

    def _told(self, question: Question, parameters: np.ndarray) -> _Asked | None:
        """What the next job comes to; None where that is nothing that this question is answered by."""
        parts = self._known.pop()
        if parts is None or len(parts) != self._terms:
            return None
        shapes = question.shapes(parameters).items()
        for part in parts:
            if UNTOLD in part:
                return None
            for name, shape in shapes:
                if name not in part or np.shape(part[name]) != shape:
                    return None
        told = question.told(parameters, parts)
        for one in told.seen:
            if not math.isfinite(one[0]):
                return None
        return _Asked(question, parameters, parts, told)

    def settle(self) -> None:
        """Do all that there was to be done for what was answered so far.

        Raises:
            ResumeError: it was something else than what is recorded.
        """
        waiting, self._asked, self._known = self._asked, [], []
        place = 0
        while place < len(waiting):
            left = self._repeated(waiting[place:])
            facts: list[Event] = []
            again: _Asked | None = None
            for one in waiting[place:]:
                place += 1
                if not isinstance(one, _Asked):
                    facts.append(self._stream.stepped(one))
                elif left:
                    left -= 1
                    facts += [self._stream.evaluated(*seen) for seen in one.told.seen]
                else:
                    again = one
                    break
            self._lab.record.all(facts)
            if again is not None:
                self._again(again)

    def _repeated(self, waiting: Sequence[_Asked | Mapping[str, object]]) -> int:
        """Do the jobs of what was asked up to the first that has to go the usual way; how many these were."""
        asked: list[tuple[Callable[[], list[Pub]], list[Numbers]]] = []
        sloped: bool | None = None
        for one in waiting:
            if isinstance(one, _Asked):
                if sloped is None:
                    sloped = one.question.sloped
                elif one.question.sloped != sloped:
                    break
                asked.append((partial(one.question.pubs, one.parameters), one.numbers))
        return self._stream.repeated(asked, sloped=bool(sloped))

    def _again(self, one: _Asked) -> None:
        """Ask the usual way, which has to come to the same.

        Raises:
            ResumeError: it does not.
        """
        try:
            answer = one.question.usual(one.parameters)
        except StopOptimization as stop:
            raise ResumeError(f"the journal goes on where the run has to stop: {stop.reason}") from stop
        if not _same(answer, one.told.answer):
            raise ResumeError(
                "a job gave other numbers than the journal has of it; the code or its inputs changed"
            )


def _same(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return all(map(_same, one, other))
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)

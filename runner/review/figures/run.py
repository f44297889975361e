"""All figures of one run, written into its directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.display.words import SharedShots, without_residue
from runner.record.events import JobCompleted, JobSubmitted, ProblemPosed, Result
from runner.record.log import EventLog, first, last, of, outcome, remembered
from runner.record.replay import lasting_places
from runner.review.figures.canvas import Events, number, save, unit
from runner.review.figures.circuit import circuit_pair
from runner.review.figures.energy import Course, convergence, energy_against_usage, evaluations, quantity
from runner.review.figures.mitigation import extrapolation, ladder
from runner.review.figures.samples import histogram
from runner.review.figures.subspace import subspace
from runner.review.figures.table import curves
from runner.review.figures.timeline import Activities, ActivityReader, session_timeline
from runner.runtime.results import from_plain

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from runner.review.figures.shown import ShownFigure


def draw_run(
    events: Events,
    folder: Path,
    *,
    reference: float | None = None,
    circuits: Sequence[tuple[str, QuantumCircuit]] = (),
) -> list[Path]:
    """Draw whatever the journal has something to show for; returns the files.

    Args:
        events: the journal.
        folder: where to put the PNGs.
        reference: exact energy, where it is known.
        circuits: titles and circuits, drawn below one another.
    """
    folder.mkdir(exist_ok=True)
    drawn: list[Path] = []

    def keep(name: str, figure: Any) -> None:
        save(figure, folder / name)
        drawn.append(folder / name)

    if evaluations(events):
        keep("convergence.png", convergence(events, reference))
        keep("energy_against_usage.png", energy_against_usage(events, reference))
    told = outcome(events)
    table = told.get("table") or []
    if (grown := subspace(table, reference, unit(events))) is not None:
        keep("subspace.png", grown)
    elif (reported := curves(table)) is not None:
        keep("table.png", reported)
    rungs = ladder(table, reference, unit(events))
    if rungs is not None:
        keep("ladder.png", rungs)
    mitigated = told.get("mitigation") or {}
    if "extrapolation" in mitigated:
        keep("extrapolation.png", extrapolation(mitigated, unit(events), of=quantity(events).name))
    keep("timeline.png", session_timeline(events))
    counts = last_counts(events)
    if counts:
        keep("bitstrings.png", bitstrings(counts, table))
    if circuits:
        keep("circuit.png", circuit_pair(list(circuits)))
    return drawn


def bitstrings(counts: Mapping[str, int], table: Sequence[Mapping[str, Any]]) -> ShownFigure:
    """What was read, and beside it what the rows of a result that have any say it was before it was misread."""
    corrected = {
        str(row["bitstring"]): float(row["quasi_probability"]) for row in table if "quasi_probability" in row
    }
    listed = {name: corrected[name] for name in counts if name in corrected}
    label = "corrected" if len(listed) == len(counts) else "corrected, of those in the table"
    return histogram(counts, expected=listed or None, label=label)


def look_through(events: Events) -> None:
    """Find in a journal at once what figures and page tell of all its jobs, so that no line is read twice for that."""
    if not isinstance(events, EventLog):
        return
    course, timeline, shots = Course(), ActivityReader(), SharedShots()
    sampled: JobCompleted | None = None
    lasts = iter(lasting_places(events))
    following = next(lasts, None)
    drawn, timed = frozenset(course.FACTS), frozenset(timeline.FACTS)
    for place in events.places(*drawn, *timed):
        event, kind = events[place], events.fact(place)
        if kind in drawn:
            course.take(event)
        while following is not None and following < place:
            following = next(lasts, None)
        if kind in timed and place == following:
            timeline.take(event)
        if isinstance(event, JobSubmitted):
            shots.add(event.pubs)
        elif isinstance(event, JobCompleted) and _is_sampled(event):
            sampled = event
    activities = timeline.read()
    remembered(events, Course.__name__, lambda: course)
    remembered(events, Activities.__name__, lambda: activities)
    remembered(events, SharedShots.__name__, lambda: shots)
    remembered(events, "sampled", lambda: sampled)


def shared_shots(events: Events) -> SharedShots:
    """What the jobs of a journal took of every basis."""

    def found() -> SharedShots:
        shots = SharedShots()
        for event in of(events, JobSubmitted):
            shots.add(event.pubs)
        return shots

    return remembered(events, SharedShots.__name__, found)


def last_counts(events: Events) -> dict[str, int]:
    """Bitstring counts of the last Sampler job that has any: its first PUB, all registers side by side."""
    found = remembered(events, "sampled", lambda: next(filter(_is_sampled, _samplers(events)), None))
    return {} if found is None or found.result is None else _counts(found.result[0])


def _is_sampled(event: JobCompleted) -> bool:
    return bool(event.result) and "evs" not in event.result[0]  # type: ignore[index]


def _samplers(events: Events) -> Iterator[JobCompleted]:
    """Jobs that may be a Sampler's, the newest first; of a journal's Estimator jobs the lines are only glanced at."""
    if not isinstance(events, EventLog):
        yield from (event for event in reversed(events) if isinstance(event, JobCompleted))
        return
    for place in reversed(list(events.places(JobCompleted))):
        if b'"evs":' not in events.text(place, backwards=True):
            event = events[place]
            assert isinstance(event, JobCompleted)
            yield event


def _counts(registers: Mapping[str, Any]) -> dict[str, int]:
    data = [value for value in from_plain(dict(registers)).values() if hasattr(value, "get_bitstrings")]
    if not data:
        return {}
    counts: dict[str, int] = {}
    for parts in zip(*(bits.get_bitstrings() for bits in reversed(data)), strict=True):
        word = " ".join(parts)
        counts[word] = counts.get(word, 0) + 1
    return counts


def reference_of(events: Events) -> float | None:
    """The exact energy a journal's result or problem tells."""
    result, problem = last(events, Result), first(events, ProblemPosed)
    if result is not None:
        return number(without_residue(result.result).get("reference_energy"))
    return None if problem is None else number(problem.reference_energy)

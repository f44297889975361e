"""Which runs of a sweep, and which settings over their seeds, are best, and whether that can be told at all.

What counts is the exact energy at a run's parameters, where every run has one: its distance from the reference is the
true error, without the luck of the shots that measured it. Else it is the energy that was measured with fresh shots.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.display.words import NO_SPREAD, but_for_rounding, energy_number, row_without_residue, spreadless
from runner.run.answer import PICK
from runner.sweep.member import Row

RANKED = 10
"""Lines that are shown."""

SEEDS = 4
"""Seeds of each of two settings from which on a rank test can tell them apart at all: 4 against 4, 2 in C(8,4) = 70."""

DOUBT = 0.05
"""Probability from which on a difference is put down to chance."""

TRUE, MEASURED, ENERGY = "true error", "|energy − exact|", "energy"
"""What is ranked by."""


def merit(row: Row) -> float | None:
    """What a measured run is judged by: distance from the exact energy, or the energy where nobody knows that.

    None for the lowest of several noisy energies, which would win by its noise.
    """
    if row.get("energy_kind") == PICK:
        return None
    error, energy = _error(row), row.get("energy")
    if error is not None:
        return abs(error)
    return energy if isinstance(energy, int | float) else None


def _error(row: Row) -> float | None:
    """Of the energy that was measured; rounding, which must decide no place, is none."""
    error = row.get("error")
    return but_for_rounding(error, row.get("reference_energy")) if isinstance(error, int | float) else None


def true_error(row: Row) -> float | None:
    """Of the exact energy at a run's parameters, less the reference; None where one of them is not known."""
    here, reference = row.get("exact_energy"), row.get("reference_energy")
    known = isinstance(here, int | float) and isinstance(reference, int | float)
    return but_for_rounding(here - reference, reference) if known else None  # type: ignore[operator]


def judged(row: Row) -> dict[str, float]:
    """What a run may be ranked by → how good it is at that, smaller being better; what comes first counts for more."""
    if row["status"] not in ("finished", "stopped") or merit(row) is None:
        return {}
    true, error, energy = true_error(row), _error(row), row.get("energy")
    found = {TRUE: None if true is None or error is None else abs(true), MEASURED: error and abs(error)}
    return {by: value for by, value in {**found, ENERGY: energy}.items() if isinstance(value, int | float)}


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The best, and how well that is known."""

    by: str
    """What is ranked by: true error | |energy − exact| | energy."""
    lines: list[dict[str, Any]]
    """The table, best first; those at one place cannot be told apart from the first there, and seeds have none."""
    verdict: str
    """The winner, or that there is none, in a sentence; of seeds alone what they come to together."""


@dataclass(frozen=True)
class _Entry:
    name: str
    values: list[float]
    noise: list[float]
    """Standard errors of the values by shots; 0 of true errors, inf where shots came out alike and tell none."""
    line: dict[str, Any]

    @property
    def middle(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; 0 of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def error(self) -> float:
        """Standard error of the median: √(π/2) that of the mean of so many seeds, of up to two the same.

        By how the seeds spread, which the noise of their shots is a part of; by what the runs tell of that themselves
        where there is no spread to go by.
        """
        count = len(self.values)
        share = math.sqrt(math.pi / 2) if count > 2 else 1.0
        each = self.spread or math.sqrt(statistics.fmean(one**2 for one in self.noise))
        return share * each / math.sqrt(count)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of that error: one less than seeds where it is their spread, of shots as many as any."""
        return len(self.values) - 1 if self.spread else math.inf


def rank(table: Sequence[Row], swept: Sequence[str]) -> Ranking | None:
    """The best runs, best first; with several seeds, the best settings by the median over their seeds.

    None where nothing can be judged.

    Args:
        table: a row for each run.
        swept: the keys that differ.
    """
    ended = [row_without_residue(row) for row in table if row["status"] in ("finished", "stopped")]
    rows = [row for row in ended if merit(row) is not None]
    if not rows:
        return None
    by = ENERGY
    if all(row.get("error") is not None for row in rows):
        by = TRUE if all(true_error(row) is not None for row in rows) else MEASURED
    over_seeds = "seed" in swept and len(swept) > 1
    keys = [key for key in swept if key != "seed"] if over_seeds else list(swept)
    entries = list(_settings(rows, keys, by) if over_seeds else _runs(rows, keys, by))
    entries.sort(key=lambda entry: (entry.middle, entry.line["run"]))
    shown = entries[:RANKED]
    if list(swept) == ["seed"]:
        return Ranking(by=by, lines=[entry.line for entry in shown], verdict=_over_seeds(rows, entries, by))
    lines = [{"": place, **entry.line} for place, entry in zip(_places(shown), shown, strict=True)]
    return Ranking(by=by, lines=lines, verdict=_verdict(entries, by, over_seeds=over_seeds))


def _value(row: Row, by: str) -> tuple[float, float]:
    """What a row is ranked by, and its standard error by shots."""
    if by == TRUE:
        here = true_error(row)
        assert here is not None
        return abs(here), 0.0
    value = merit(row)
    assert value is not None
    return value, math.inf if spreadless(row) else float(row.get("stddev") or 0.0)


def _runs(rows: Sequence[Row], keys: Sequence[str], by: str) -> Iterator[_Entry]:
    names = [*keys, "energy", "stddev", "error", TRUE, "evaluations", "shots", "usage_seconds"]
    for row in rows:
        value, noise = _value(row, by)
        line: dict[str, Any] = {"run": row["number"]}
        for name in names:
            own = {TRUE: true_error, "error": _error}.get(name)
            found = own(row) if own else row.get(name)
            if name == "stddev" and spreadless(row):
                found = NO_SPREAD
            nothing = name in ("evaluations", "stddev") and not found  # nothing is optimized; it is exact
            if found is not None and not nothing:
                line[name.rpartition(".")[2]] = found
        name = " ".join(str(row.get(key)) for key in keys) or f"run {row['number']}"
        yield _Entry(name, [value], [noise], line)


def _settings(rows: Sequence[Row], keys: Sequence[str], by: str) -> Iterator[_Entry]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(key)) for key in keys), []).append(row)
    for setting, members in groups.items():
        pairs = [_value(row, by) for row in members]
        values = [value for value, _ in pairs]
        entry = _Entry(" ".join(setting), values, [noise for _, noise in pairs], {})
        entry.line.update({key.rpartition(".")[2]: word for key, word in zip(keys, setting, strict=True)})
        entry.line.update({"runs": len(members), "median": entry.middle, "±": _sure(entry.error)})
        entry.line.update({"best": min(values), "worst": max(values)})
        shots = [row["shots"] for row in members if isinstance(row.get("shots"), int)]
        if len(shots) == len(members):
            entry.line["shots"] = round(statistics.median(shots))
        entry.line["run"] = members[values.index(min(values))]["number"]
        yield entry


def _sure(error: float) -> float | None:
    """A standard error; None where shots tell none."""
    return error if math.isfinite(error) else None


def chance(first: _Entry, second: _Entry) -> float | None:
    """Probability of a difference as large by chance alone; None where there is nothing to tell it by.

    With `SEEDS` of each by the exact rank test of Mann & Whitney (Ann. Math. Statist. 18, 50 (1947)), else by the
    standard errors of both as Welch does (Biometrika 34, 28 (1947)): those of a few seeds are uncertain themselves.
    """
    if min(len(first.values), len(second.values)) >= SEEDS:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(first.values, second.values, alternative="two-sided").pvalue)
    error = math.hypot(first.error, second.error)
    if not error:
        return None
    if not math.isfinite(error):
        return 1.0
    less = sum((entry.error / error) ** 4 / entry.freedom for entry in (first, second))
    for one, other in ((first, second), (second, first)):
        unknown = len(one.values) == 1 and not one.error
        if unknown:  # how a single run spreads: as the others do
            error, less = math.hypot(error, other.spread), 1 / other.freedom
    distance = abs(first.middle - second.middle) / error
    if not less:
        return math.erfc(distance / math.sqrt(2))
    from scipy.stats import t

    return float(2 * t.sf(distance, 1 / less))


def _apart(first: _Entry, second: _Entry) -> bool:
    probability = chance(first, second)
    return first.middle != second.middle if probability is None else probability < DOUBT


def _places(entries: Sequence[_Entry]) -> list[int]:
    """Places in ascending order; one that cannot be told apart from the first at a place shares it."""
    places: list[int] = []
    for number, entry in enumerate(entries, 1):
        shares = bool(places) and not _apart(entries[places[-1] - 1], entry)
        places.append(places[-1] if shares else number)
    return places


def _over_seeds(rows: Sequence[Row], entries: Sequence[_Entry], by: str) -> str:
    """How runs that differ in nothing but chance come out: mean and spread of their energies, and of their errors.

    Where the spread of measured energies is larger than their standard errors tell, the rest is the optimizer's.
    """
    energies = [float(row["energy"]) for row in rows if isinstance(row.get("energy"), int | float)]
    values = [entry.middle for entry in entries]
    if len(rows) < 2 or len(energies) < len(rows):
        return f"{entries[0].name}: {values[0]:.3g} by {by}"
    spread = statistics.stdev(energies)
    words = f"{len(rows)} seeds: energy {energy_number(statistics.fmean(energies))} on average"
    words += f" ± {spread / math.sqrt(len(rows)):.2g}; runs spread by {spread:.2g}"
    stddevs = [row.get("stddev") or 0.0 for row in rows]
    if any(stddevs):
        words += f" where their own ± is {math.sqrt(statistics.fmean(one**2 for one in stddevs)):.2g}"
    if by != ENERGY:
        words += f"; {by} {statistics.median(values):.3g} in the median, {values[0]:.3g} to {values[-1]:.3g}"
    return words


def _verdict(entries: Sequence[_Entry], by: str, *, over_seeds: bool) -> str:
    """`winner: nft, true error 0.0011 ± 0.0003, median of 5 seeds`, or who cannot be told apart."""
    first, *others = entries

    def told(entry: _Entry) -> str:
        sure = f" ± {entry.error:.2g}" if entry.error and _sure(entry.error) else ""
        return f"{entry.name} ({entry.middle:.3g}{sure})"

    what = f"{by}, median of {len(first.values)} seeds" if over_seeds else by
    alike = [entry for entry in others if not _apart(first, entry)]
    if alike:
        names = [told(entry) for entry in (first, *alike)]
        listed = ", ".join(names[:-1]) + f" and {names[-1]}"
        if not any(entry.error for entry in (first, *alike)):
            return f"no winner: {listed} are equal but for rounding by {what}"
        more = "more seeds" if over_seeds else "more shots, or several seeds,"
        return f"no winner: {listed} cannot be told apart by {what}; {more} may"
    words = f"winner: {told(first)} by {what}"
    if others:
        probability = chance(first, others[0])
        words += f"; next {told(others[0])}"
        words += "" if probability is None else f", by chance with p = {probability:.2g}"
    if not over_seeds and by == TRUE and others:
        words += "; one run each: with other seeds another may win"
    return words

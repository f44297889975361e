"""What is said of times, energies and states, wherever it is shown: terminal, report, MLflow."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from runner.hamiltonian.declared import HARTREE

ROUNDING = 16
"""In units of an energy's last place, what is no distance from another: as much as adding up its terms may lose."""
RESIDUE = 64 * sys.float_info.epsilon
"""Of the sum of an observable's |coefficients|: what rounding may leave of an expectation value that is 0."""
BELOW = 100
"""Times `rounding`, what an energy may lie below another of by the rounding of many gates, and of a diagonalization."""
ENERGIES = ("energy", "exact_energy", "reference_energy", "error")
"""What is an energy, or a difference of two, in a result."""
FEW_DIGITS = 1e-4
"""Below this, six decimals show two digits at most."""
DIGITS = 6
"""Of numbers in tables, unless they need more to be told apart."""
ONE_DECIMAL_LEFT = 1e5
"""From here on six digits leave no decimal."""
WRITTEN_OUT = 1e15
"""From here on a number has an exponent: a float has no more than 16 digits."""


def clock(seconds: float) -> str:
    """Seconds as a person reads them: 41.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds > 1e10:  # three centuries: a received file says so
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def grouped(count: int) -> str:
    """A count in groups of three digits: 10 050 000."""
    return f"{count:,}".replace(",", " ")


def counted(count: int, noun: str) -> str:
    """A count with its noun: 1 angle, 2 angles."""
    return f"{grouped(count)} {noun}{'' if count == 1 else 's'}"


def choices(config: Mapping[str, Any], groups: Sequence[str], unused: Sequence[str] = ()) -> dict[str, str]:
    """Group → name of what was chosen in it, for those that have a name and take part."""
    return {
        group: str(config[group]["name"])
        for group in groups
        if group not in unused and isinstance(config.get(group), Mapping) and config[group].get("name")
    }


def counts(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Energies that an optimizer asked for, and its steps: name, value and remark of what there is."""
    evaluations, iterations = result.get("evaluations") or 0, result.get("iterations") or 0
    if evaluations:
        return [("evaluations", str(evaluations), f"in {iterations} iterations" if iterations else "")]
    return [("iterations", str(iterations), "")] if iterations else []


def but_for_residue(value: float, rounding: float) -> float:
    """An expectation value, or a difference of two; 0 where it is no more than rounding leaves of that."""
    return 0.0 if abs(value) <= rounding else value


def row_without_residue(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row of a sweep's table to be shown: by its `rounding`, which is told of numbers and not shown itself."""
    most = _number(row.get("rounding")) or 0.0
    return {
        name: but_for_residue(value, most)
        if name in (*ENERGIES, "value") and isinstance(value, float)
        else value
        for name, value in row.items()
        if name != "rounding"
    }


def without_residue(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """A result to be shown: what is no more than rounding leaves of 0, by its `rounding`, is 0, in its table too.

    There it is what stands beside a standard error, and the exact values of that: a time or a probability has a scale
    of its own. Results of earlier releases do not tell how large that is, and are shown as they are.
    """
    most = _number(result.get("rounding"))
    if not most:
        return result

    def told(value: Any) -> Any:
        return but_for_residue(value, most) if isinstance(value, float) else value

    shown = {name: told(value) if name in ENERGIES else value for name, value in result.items()}
    table = [
        {name: told(value) if _is_measured(name, row) else value for name, value in row.items()}
        for row in result.get("table") or []
    ]
    return {**shown, "table": table}


def _is_measured(column: str, row: Mapping[str, Any]) -> bool:
    """Whether a column of a table tells expectation values, or differences of them."""
    if column in (*ENERGIES, "exact", "value"):
        return any(name.endswith("stddev") for name in row)
    name = column.removesuffix(" exact").removesuffix(" noisy")
    return f"{name} stddev" in row


def counted_up(table: Sequence[Mapping[str, Any]], evaluations: int | None) -> list[dict[str, Any]]:
    """Rows to be shown, under a heading that says so where each one's evaluations hold those of the rows before.

    Those of an ansatz that grows do, and of several minimizations they do not: then they add up to all.

    Args:
        table: what a result tells beyond one energy.
        evaluations: of all.
    """
    told = [row.get("evaluations") for row in table]
    counts = [count for count in told if isinstance(count, int)]
    grows = 1 < len(counts) == len(told) and all(a < b for a, b in itertools.pairwise(counts))
    grows = grows and (counts[-1] == evaluations or sum(counts) > (evaluations or math.inf))
    heading = {"evaluations": "evaluations so far"} if grows else {}
    return [{heading.get(name, name): value for name, value in row.items()} for row in table]


NO_SPREAD = "no spread in its shots"
"""What is said in place of a standard error of 0: shots that came out alike do not tell how far off they are."""


def is_sampled(result: Mapping[str, Any]) -> bool | None:
    """Whether shots measured an energy; None where nobody knows, as of a truncated one in an earlier result."""
    kind, told = result.get("energy_kind"), result.get("sampled")
    if kind != "truncated":
        return {"measured": True, "pick": True, "exact": False}.get(str(kind))
    if isinstance(told, bool):
        return told
    return True if result.get("stddev") or result.get("exact_note") else None


def spreadless(result: Mapping[str, Any]) -> bool:
    """Whether shots measured an energy and came out alike."""
    measured = result.get("energy_kind") in ("measured", "truncated") and is_sampled(result)
    return bool(measured) and result.get("stddev") == 0


def error_in_words(error: float, exact: float | None, unit: str | None, *, sampled: bool = False) -> str:
    """An energy's distance from the exact one: of Hartree in mHa, of anything else in its own unit and relative.

    Args:
        error: energy − exact.
        exact: what it should have been.
        unit: what the Hamiltonian's energies are in.
        sampled: shots measured it, and hit the exact one by chance where they did.
    """
    if unit == HARTREE:
        return f"{1000 * error:+.3f} m{HARTREE}"
    if exact and not but_for_rounding(error, exact):
        return "+0" + (f" {unit}" if unit else "") + ("" if sampled else " (exact to rounding)")
    return (
        ("+" if error >= 0 else "")
        + plain_number(error, 3)
        + (f" {unit}" if unit else "")
        + (f" ({percent(abs(error / exact), 2)})" if exact else "")
    )


def percent(share: float, digits: int) -> str:
    """A share of one in percent, to some digits: 120 %, 0.0031 %; only absurd ones have an exponent."""
    text = f"{100 * share:.{digits}g}"
    return f"{Decimal(text):f} %" if not share or 1 / WRITTEN_OUT < abs(share) < WRITTEN_OUT else f"{text} %"


def plain_number(value: float, digits: int) -> str:
    """A number to some digits; large ones are written out, only very small ones have an exponent, and absurd ones."""
    text = f"{value:.{digits}g}"
    return f"{Decimal(text):f}" if 1 <= abs(value) < WRITTEN_OUT else text


def energy_number(value: float, sign: str = "") -> str:
    """An energy to six decimals; to six digits where these would show next to none, as in a large unit."""
    return f"{value:{sign}.6g}" if 0 < abs(value) < FEW_DIGITS else decimals(value, 6, sign)


def error_number(error: float, exact: float | None) -> str:
    """An energy's distance from the exact one with its sign, to as many digits as energies have; rounding is none."""
    return energy_number(but_for_rounding(error, exact), "+")


def but_for_rounding(error: float, exact: float | None) -> float:
    """An energy's distance from the exact one; 0 where it is no more than adding up its terms may lose."""
    return 0.0 if abs(error) <= ROUNDING * math.ulp(exact or 0.0) else error


def decimals(value: float, places: int, sign: str = "") -> str:
    """A number to some decimals; with an exponent from where a float has none left, whoever wrote it."""
    return f"{value:{sign}.{places}f}" if abs(value) < WRITTEN_OUT else f"{value:{sign}.6g}"


def digits_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Significant digits of a table's columns: six, and more where six do not tell what is different.

    A large constant takes digits from what differs between rows, and from a standard error, which is told to two. Four
    of the spread are told, but no more decimals than energies have elsewhere; exact values have as many as measured.
    """
    columns: dict[str, list[float]] = {}
    wanted: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            if not isinstance(value, float) or not math.isfinite(value) or _is_paid(name, row):
                continue
            columns.setdefault(name, []).append(value)
            stddev = row.get("stddev" if name in (*ENERGIES, "exact", "value") else f"{name} stddev")
            if isinstance(stddev, float) and 0 < stddev < abs(value) and math.isfinite(stddev):
                told = _place(value) - _place(stddev) + 2
                wanted[name] = max(wanted.get(name, 0), told)
    most: dict[str, int] = {}
    alike: dict[str, int] = {}
    for name, values in columns.items():
        largest, spread = max(map(abs, values)), max(values) - min(values)
        if not largest:
            continue
        group = _compared(name)
        most[group] = max(max(_place(largest) + 1, 0) + DIGITS, most.get(group, 0))
        if name not in wanted and spread > ROUNDING * math.ulp(largest):
            wanted[name] = _place(largest) - _place(spread) + 4
        elif name not in wanted and largest >= ONE_DECIMAL_LEFT:
            alike[group] = most[group]
    together: dict[str, int] = {}
    for name, told in wanted.items():
        together[_compared(name)] = max(told, together.get(_compared(name), 0))
    together = {**alike, **together}
    return {
        name: min(max(together.get(_compared(name), 0), DIGITS), most.get(_compared(name), DIGITS), 16)
        for name in columns
    }


def _compared(column: str) -> str:
    """What a column of a table is compared with, by the name of the measured one."""
    if column in ("energy", "value", "exact"):
        return "energy"
    return column.removesuffix(" exact").removesuffix(" noisy")


def _is_paid(column: str, row: Mapping[str, Any]) -> bool:
    """Whether a column tells money or seconds; the cost of a bitstring is an energy."""
    return column.endswith(("cost", "seconds")) and "bitstring" not in row


def _place(value: float) -> int:
    """The place of a number's first digit: 0 from 1 to 10."""
    return math.floor(math.log10(abs(value)))


def in_cell(name: str, value: float, digits: int | None = None) -> str:
    """A number of a table, by its column: a standard error to two digits, money in cents, seconds in hundredths.

    Args:
        name: of the column.
        value: what stands there.
        digits: of all others, where `digits_of` tells them.
    """
    if name.endswith("stddev"):
        return plain_number(value, 2)
    told = value == 0 or 0.1 <= abs(value) < 1e9  # others lose all their digits, or have too many
    if digits is None and told and name.endswith(("cost", "seconds")):
        return f"{value:.2f}"
    return f"{value:.{digits or DIGITS}g}"


LEFT_OUT = 1e-10
"""What is left out of a state, or of what it gives, is told from here on."""


def energy_lines(result: Mapping[str, Any], unit: str | None) -> list[tuple[str, str, str]]:
    """What is said of a run's energy, wherever it is shown: name, value and a note on each line.

    Where shots measured it, its distance from the reference is in standard errors, and the exact energy at the same
    parameters, where it is known, tells what is the optimizer's part of it. An energy that was picked from noisy ones
    is compared with nothing, and one that is smaller than what its simulation may have changed it by is not known.

    Args:
        result: the content of result.json; those of earlier releases say nothing of the kind of the energy.
        unit: what the Hamiltonian's energies are in.
    """
    shown = without_residue(result)
    energy, reference, error, stddev, here = (
        _number(shown.get(name)) for name in ("energy", "reference_energy", "error", "stddev", "exact_energy")
    )
    kind = result.get("energy_kind")
    if kind == "pick" and energy is not None:
        return [
            (
                "energy",
                energy_number(energy),
                "the lowest of noisy evaluations, biased low: not measured afresh",
            )
        ]
    left_out = left_out_in_words(result.get("truncation"), stddev, energy)
    lines = []
    if energy is not None:
        measured = is_sampled(result)
        words = "" if error is None else error_in_words(error, reference, unit, sampled=measured is not False)
        if stddev and error is not None and kind != "truncated":
            words = f"{decimals(error / stddev, 1, '+')} σ from the reference"
            words += "" if here is not None else f": {error_in_words(error, reference, unit, sampled=True)}"
        elif error is not None:
            words += " from the reference"
        noise = "without shot noise" if measured is False else ""
        noise = f"{NO_SPREAD}, which is no error bar" if spreadless(result) else noise
        told = [noise, left_out if kind == "truncated" else ""]
        without = [", ".join(filter(None, told))] if any(told) else []
        named = [f"of {name[:60]}{'…' * (len(name) > 60)}"] if (name := result.get("observable")) else []
        notes = [*named, *without, *([words] if words else [])]
        value = energy_number(energy) + (f" ± {stddev:.2g}" if stddev else "")
        if kind == "truncated" and (lost := _bound(result.get("truncation")) or 0.0) > abs(energy):
            beside = [f"beside shot noise of ± {stddev:.2g}"] if stddev else []
            value, notes = f"0 within {lost + abs(energy):.2g}", [*named, *without, *beside]
        lines.append(("value" if named else "energy", value, ": ".join(notes)))
    sampled = bool(is_sampled(result))
    if here is None and sampled and result.get("exact_note"):
        lines.append(("exact here", "not known", str(result["exact_note"])))
    if here is not None and sampled:
        noise = ", under the backend's noise" if result.get("exact_method") == "density_matrix" else ""
        noise += " as it is" if noise and result.get("mitigation") else ""
        note = f"at the same parameters without shot noise{noise}"
        if reference is not None:
            note += f": {error_in_words(here - reference, reference, unit)} from the reference"
        lines.append(("exact here", energy_number(here), note))
    if reference is not None:
        lines.append(("reference", energy_number(reference), str(result.get("reference_note") or "")))
    return lines


def truncation_in_words(truncation: Mapping[str, Any], energy: float | None = None) -> str:
    """What a run's simulations left out at most, and by how much that may have changed what they gave.

    Nothing where all of it is rounding, of the energy where that is small.
    """
    said = {
        "discarded_weight": "a weight of {} of the state",
        "error": "expectation values within {}",
        "distance": "probabilities within {} in all",
    }
    return "; ".join(
        words.format(f"{truncation[name]:.2g}")
        for name, words in said.items()
        if (_number(truncation.get(name)) or 0.0) > (left_out_from(energy) if name == "error" else LEFT_OUT)
    )


def left_out_from(energy: float | None) -> float:
    """From where on what is left out of an energy is told: of its size where that is below 1, as in a large unit."""
    return LEFT_OUT * (1.0 if energy is None else min(1.0, abs(energy)))


def left_out_in_words(
    truncation: Mapping[str, Any] | None, error_bar: float | None, energy: float | None = None
) -> str:
    """What is said of what simulations left out; nothing where it is no more than the error bar, or rounding."""
    told, error = truncation or {}, _bound(truncation)
    if error is None and (distance := _number(told.get("distance"))):
        return f"from probabilities within {distance:.2g} in all by what its simulation left out"
    if error is None or error <= max(error_bar or 0.0, left_out_from(energy)):
        return ""
    return f"within {error:.2g} by what its simulation left out"


def _bound(truncation: Mapping[str, Any] | None) -> float | None:
    """By how much what was left out may have changed the energy."""
    told = truncation or {}
    return _number(told.get("energy", told.get("error")))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def outside_in_words(
    share: float | None,
    *,
    error: float | None = None,
    stddev: float | None = None,
    reference: float | None = None,
    note: str | None = None,
    sampled: bool = False,
    rounding: float | None = None,
) -> str:
    """What is to be said of a state with other numbers of electrons than the reference; nothing where all is well.

    Args:
        share: probability of other numbers of electrons; None where it cannot be told.
        error: energy − reference.
        stddev: standard error of the energy.
        reference: what it lies below.
        note: where that is from.
        sampled: shots measured the energy; where they have no spread, nobody knows what it lies below.
        rounding: what it may leave of an expectation value that is 0; None: not known, as of earlier results.
    """
    words = ""
    nothing = 1e-6 if rounding is None else BELOW * rounding
    if (note or "").startswith("declared"):
        nothing = max(nothing, 1e-6 * abs(reference or 0.0))  # which may be rounded
    if share:
        part = percent(share, 3) if share > 1e-6 else "less than 0.0001 %"
        words = f"{part} of the state has other numbers of electrons: the ansatz does not keep them"
    known = bool(stddev) or not sampled
    below = known and error is not None and error < -max(3 * (stddev or 0), nothing)
    if below and (share or (share is None and ", sector " in (note or ""))):
        words = words or "the ansatz may not keep the numbers of electrons"
        words += "; so the energy lies below the sector's lowest"
    return words + ("; ansatz=uccsd keeps them" if words else "")


@dataclass
class SharedShots:
    """What jobs took of every basis, from their PUBs as submissions have them."""

    fewest: int | None = None
    """Of any basis; None as long as every basis had as many."""
    most: int = 0
    """Of any basis."""
    bases: set[int] = field(default_factory=set)
    """How many a PUB was measured in; those of a job measure the same ones again, or others with other circuits."""

    def add(self, pubs: Sequence[Mapping[str, Any]]) -> None:
        """Take note of one job."""
        for pub in pubs:
            self.take(pub.get("shots_per_basis") or ())

    def take(self, shots: Sequence[int]) -> None:
        """Take note of one PUB whose bases had so many; none where every basis had as many."""
        if shots:
            self.fewest = min(shots) if self.fewest is None else min(self.fewest, *shots)
            self.most = max(self.most, *shots)
            self.bases.add(len(shots))

    @property
    def in_words(self) -> tuple[str, str] | None:
        """The fewest and the most, and of how many bases; None where every basis had as many."""
        if self.fewest is None:
            return None
        most = f"{max(self.bases)}" if len(self.bases) == 1 else f"up to {max(self.bases)}"
        return f"{grouped(self.fewest)} to {grouped(self.most)}", f"in each of {most} bases"

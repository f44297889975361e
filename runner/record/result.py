"""What result.json may hold: of every known name the kind of value, and its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from runner.errors import ConfigError

Check = Callable[[object], bool]
"""Whether a value is what it should be."""

LATEST = 1e11
"""No line was written after this [Unix seconds]."""
LONGEST = 1e15
"""Nothing of a run takes longer [s], on the virtual clock either: thirty million years."""
LARGEST = 2**63
"""Every whole number that is told is below this: seeds are, and all counts and places."""
STATUSES = ("finished", "stopped", "interrupted", "failed")
"""How a run ends."""


def check_result(content: Mapping[str, object], path: str | Path, *, whole: bool = False) -> None:
    """Refuse what is no result: a known name with what cannot be its value, a table of anything but rows.

    What a later release adds is not looked at.

    Args:
        content: by name.
        path: where it was read.
        whole: It is a file: what every release tells is there, and all numbers are; a journal has words for some.

    Raises:
        ConfigError: naming `path` and the first that is wrong.
    """
    for name in NEEDED if whole else ():
        if name not in content:
            raise damaged(path, f"it has no {name}")
        if content[name] is None and name not in UNKNOWN:
            raise damaged(path, f"{name} is null")
    for name, (kind, fits) in FIELDS.items():
        value = content.get(name)
        if not whole and name in INSIDE:
            fits = of_kind(INSIDE[name])
        if value is not None and not fits(value):
            raise damaged(path, f"{name} is {shown(value)}, not {kind}")


def damaged(path: str | Path, what: str) -> ConfigError:
    """The refusal of a result; the journal has all that is needed to write it again."""
    return ConfigError(
        f"{path} is damaged ({what}); restore it, or delete it and `resume` the run, which writes it again"
    )


def taken_in_all(content: Mapping[str, Any], name: str) -> float | None:
    """What a run took in all, with what measuring took where it had stopped before it went on.

    Args:
        content: of result.json.
        name: `usage_seconds` [s], `cost` [USD], `qpu_seconds` [s], `shots`, or another number, which has no such part.
    """
    charged = content.get(name)
    before = (content.get("measured_before") or {}).get(name)
    return charged if charged is None or before is None else charged + before


def added_in_all(content: Mapping[str, Any], name: str) -> float | None:
    """What mitigation added in all, likewise.

    Args:
        content: of result.json.
        name: `qpu_seconds` [s] or `cost` [USD].
    """
    added = (content.get("mitigation") or {}).get(name)
    before = (content.get("measured_before") or {}).get(f"mitigation_{name}")
    return added if added is None or before is None else added + before


def shown(value: object) -> str:
    """A value in a few characters, whatever it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    if type(value) is int:
        return -(2**1023) < value < 2**1023
    return type(value) is float and isfinite(value)


def is_amount(value: object) -> bool:
    """Whether it is a finite number that is not below zero."""
    return is_number(value) and value >= 0  # type: ignore[operator]


def is_seconds(value: object) -> bool:
    """Whether it is a time that a clock can have told."""
    return is_amount(value) and value < LONGEST  # type: ignore[operator]


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 on that a run can have counted to."""
    return type(value) is int and 0 <= value < LARGEST


def is_text(value: object) -> bool:
    """Whether it is text."""
    return type(value) is str


def _is_truth(value: object) -> bool:
    return type(value) is bool


def _is_status(value: object) -> bool:
    return type(value) is str and value in STATUSES


def of_kind(kind: type) -> Check:
    """Whether a value is of this type."""
    return lambda value: type(value) is kind


def maybe(fits: Check) -> Check:
    """Whether a value is null, or fits."""
    return lambda value: value is None or fits(value)


def list_of(fits: Check) -> Check:
    """Whether a value is a list of what fits."""
    return lambda value: type(value) is list and all(map(fits, value))


def dict_of(fits: Check) -> Check:
    """Whether a value is an object whose values fit."""
    return lambda value: type(value) is dict and all(map(fits, value.values()))


def _with(needed: Mapping[str, Check], more: Mapping[str, Check] | None = None) -> Check:
    """An object with these names, and perhaps more of them, each with a value that fits."""

    def fits(value: object) -> bool:
        return (
            isinstance(value, dict)
            and needed.keys() <= value.keys()
            and all(one(value[name]) for name, one in {**needed, **(more or {})}.items() if name in value)
        )

    return fits


def _is_cell(value: object) -> bool:
    """Whether a table can show it: no whole number of more than 39 digits."""
    return type(value) is not int or -(2**128) < value < 2**128


def _is_float(value: object) -> bool:
    """Whether it is a number, finite or not."""
    return is_number(value) or type(value) is float


def _is_extrapolation(value: object) -> bool:
    known = _with(
        {
            "extrapolator": is_text,
            "extrapolated_noise_factors": list_of(is_number),
            "fits": dict_of(list_of(maybe(is_number))),
        }
    )
    return known(value) and all(
        len(fit) == len(value["extrapolated_noise_factors"])  # type: ignore[index]
        for fit in value["fits"].values()  # type: ignore[index]
    )


def _is_mitigation(value: object) -> bool:
    """Whether it is as `runner.run.mitigation` tells it: what goes together is there together."""
    costs = maybe(is_amount)
    taken = {"qpu_seconds": maybe(is_number), "cost": maybe(is_number)}
    measured = dict.fromkeys(("mitigated", "stddev"), _is_float)
    if not _with(
        {"setting": is_text, **taken},
        {
            **measured,
            "raw": maybe(_is_float),
            "sampling_overhead": maybe(_is_float),
            "noise_gain": maybe(_is_float),
            "learned_stddev": maybe(_is_float),
            "extrapolation": maybe(_is_extrapolation),
            "learning": maybe(
                _with({"layers": list_of(is_text), "shots": is_count, "qpu_seconds": is_seconds, "cost": costs})
            ),
        },
    )(value):  # fmt: skip
        return False
    assert isinstance(value, dict)
    if (value.get("raw") is not None or "mitigated" in value) and not _with(measured)(value):
        return False
    if value.get("sampling_overhead") is not None:
        return _with({"noise_gain": _is_float})(value) and ("mitigated" in value or "learned_stddev" in value)
    return True


_NUMBER = ("a finite number", is_number)
_AMOUNT = ("a finite number from 0 on", is_amount)
_SECONDS = (f"a time in seconds from 0 to {LONGEST:.0e}", is_seconds)
_COUNT = ("a whole number from 0 to 2**63", is_count)
_TEXT = ("text", is_text)
_TEXTS = ("a list of texts", list_of(is_text))

FIELDS: dict[str, tuple[str, Check]] = {
    "experiment": _TEXT,
    "status": (f"one of {', '.join(STATUSES)}", _is_status),
    "energy": _NUMBER,
    "stddev": _AMOUNT,
    "reference_energy": _NUMBER,
    "error": _NUMBER,
    "evaluations": _COUNT,
    "iterations": _COUNT,
    "parameters": ("a list of numbers", list_of(_is_float)),
    "stop_reason": _TEXT,
    "usage_seconds": _SECONDS,
    "cost": _AMOUNT,
    "session_ids": _TEXTS,
    "mlflow_run_id": _TEXT,
    "seed": _COUNT,
    "wall_seconds": _SECONDS,
    "versions": ("package → version", dict_of(is_text)),
    "parameter_names": _TEXTS,
    "energy_kind": _TEXT,
    "sampled": ("true or false", _is_truth),
    "error_sigmas": _NUMBER,
    "exact_energy": _NUMBER,
    "exact_method": _TEXT,
    "exact_note": _TEXT,
    "observable": _TEXT,
    "converged": ("true or false", _is_truth),
    "reference_note": _TEXT,
    "outside_sector": _NUMBER,
    "qpu_seconds": _SECONDS,
    "shots": _COUNT,
    "measured_before": (
        "what was measured before",
        _with(
            {"usage_seconds": is_seconds, "cost": is_amount, "shots": is_count},
            dict.fromkeys(("mitigation_qpu_seconds", "mitigation_cost"), maybe(is_number)),
        ),
    ),
    "rounding": _AMOUNT,
    "simulation": _TEXT,
    "truncation": ("name → number", dict_of(_is_float)),
    "mitigation": ("what was done against errors", _is_mitigation),
    "table": ("a list of rows", list_of(dict_of(_is_cell))),
    "exit_code": _COUNT,
}
"""Name → what its value is, in words, and whether a value is that."""

INSIDE: dict[str, type] = {"parameters": list, "truncation": dict, "mitigation": dict}
"""What a journal says with words for numbers that are not finite; whoever reads it there looks at each."""
NEEDED = tuple(FIELDS)[: tuple(FIELDS).index("versions") + 1]
"""What every release has told of a run."""
UNKNOWN = ("energy", "stddev", "reference_energy", "error", "cost", "mlflow_run_id")
"""Of these, what may be null."""

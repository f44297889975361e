"""Options of the service-side primitives: what acts, what is noted because it cannot, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.declare.checks import shorten
from runner.mitigation.client import received_noise, without_idle
from runner.runtime import EstimatorV2, NoiseLearner, SamplerV2
from runner.runtime.options import LEARNER_FIELDS
from runner.serve.errors import ApiError

SERVICE_LEVEL = 1
"""The resilience level of the service's own Estimator where nobody says one."""
HONOURED = {
    "default_shots", "default_precision", "seed_estimator", "simulator.seed_simulator", "execution.rep_delay",
}  # fmt: skip
HARMLESS = {
    "execution.init_qubits": (True,),
    "execution.meas_type": ("classified",),
    "dynamical_decoupling.enable": (False,),
    "twirling.enable_gates": (False,),
    "twirling.enable_measure": (False,),
    "resilience.measure_mitigation": (False,),
    "resilience.zne_mitigation": (False,),
    "resilience.pec_mitigation": (False,),
    "resilience_level": (0,),
}
ECHOES, TWIRLS = "dynamical_decoupling", "twirling"
MITIGATING = ("resilience_level", "resilience", TWIRLS, ECHOES)
"""What of the Estimator's options acts against errors."""
NO_MEMORY = "the simulated noise has no memory, so that an echo has nothing to undo"
SWITCHES = {
    "resilience.zne": ("resilience.zne_mitigation",),
    "resilience.measure_noise_learning": ("resilience.measure_mitigation",),
    "resilience.pec": ("resilience.pec_mitigation",),
    TWIRLS: ("twirling.enable_gates", "twirling.enable_measure"),
    ECHOES: ("dynamical_decoupling.enable",),
}
"""Groups of options of the client-side primitives, and what they act with."""


@dataclass
class LegacyOptions:
    """What of a job's options the runtime takes."""

    taken: dict[str, Any]
    """The runtime's options."""
    notes: list[str] = field(default_factory=list)
    """What the job's log says of those that have no effect."""
    level_is_said: bool = True
    """Whether the job says itself what is done against errors."""

    def unmitigated(self, reason: str) -> LegacyOptions:
        """The same with nothing done against errors, for that reason."""
        taken = {key: value for key, value in self.taken.items() if key not in MITIGATING}
        note = f"WARNING resilience_level is {SERVICE_LEVEL} where none is said, and 0 here: {shorten(reason, 300)}"
        return LegacyOptions(taken, [*self.notes, note])


def read_options(
    given: dict[str, Any], level: object, primitive: type, *, noisy: bool, remembers: bool = False
) -> LegacyOptions:
    """Sort a job's options.

    Args:
        given: As the client sends them.
        level: What it sends beside them as resilience level, if anything.
        primitive: EstimatorV2 or SamplerV2 of the runtime.
        noisy: Whether there are errors that something could be done against.
        remembers: Whether the noise has a memory, so that an echo can undo some of it.

    Raises:
        ApiError: a value is none that the client's own options take.
    """
    _require_options(given, primitive)
    flat = flatten(given)
    for key, value in flat.items():
        if bool in map(type, HARMLESS.get(key, ())) and not isinstance(value, bool | None):
            raise ApiError(400, f"'params.options.{key}' must be true or false.")
    if level is not None:
        flat["resilience_level"] = level
    acts = set[str]()
    if noisy:
        acts = set(MITIGATING if primitive is EstimatorV2 else (TWIRLS, ECHOES))
    silent = {} if noisy else dict.fromkeys(MITIGATING, "the backend has no noise")
    if noisy and not remembers:
        acts -= {ECHOES}
        silent[ECHOES] = NO_MEMORY
    options: dict[str, Any] = {}
    notes: list[str] = []
    for key, value in flat.items():
        if value is None or key.partition(".")[0] in acts:
            continue
        if key not in HONOURED or (primitive is not EstimatorV2 and key == "seed_estimator"):
            if value not in HARMLESS.get(key, ()):
                notes.append(_note(key, value, silent.get(key.partition(".")[0])))
        elif "." in key:
            group, _, name = key.partition(".")
            options.setdefault(group, {})[name] = value
        elif key != "default_precision" or flat.get("default_shots") is None:
            options[key] = value
    if not acts:
        return LegacyOptions(options, notes)
    asked = _some({name: value for name, value in given.items() if name in acts})
    if primitive is not EstimatorV2:
        acting, idle = _randomizing(asked)
        return LegacyOptions(options | acting, [*notes, *idle])
    asked |= {} if level is None else {"resilience_level": level}
    said = asked.get("resilience_level") is not None
    acting, idle = _mitigation({"resilience_level": SERVICE_LEVEL, **asked})
    return LegacyOptions(options | acting, [*notes, *idle], said or _asks(acting))


def program_notes(passthrough: object, *, noisy: bool, remembers: bool) -> list[str]:
    """What the log of a client-side primitive's job says of options that have no effect.

    Args:
        passthrough: What the client sends along to decode the result with, its options among it.
        noisy: Whether the backend has errors.
        remembers: Whether the noise has a memory, so that an echo can undo some of it.
    """
    from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions

    given = passthrough
    for name in ("post_processor", "options"):
        given = given.get(name) if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping):  # a program of the user's own
        return []
    model: Any = EstimatorOptions if "resilience" in given else SamplerOptions
    flat, usual = flatten(given), flatten(model().model_dump())
    notes = []
    if flat.get("dynamical_decoupling.enable") and not remembers:
        reason = NO_MEMORY if noisy else "the backend has no noise"
        notes.append(_note("dynamical_decoupling.enable", True, reason))
    for group, switches in SWITCHES.items():
        if any(flat.get(switch) for switch in switches):
            continue
        told = " or ".join(switch.removeprefix("resilience.") for switch in switches)
        notes += [
            _note(key, value, f"it acts with {told}, which is off")
            for key, value in flat.items()
            if key.startswith(f"{group}.") and key not in switches and _differs(value, usual.get(key))
        ]
    return notes


def _differs(value: object, usual: object) -> bool:
    """Whether a value is another one than the client's own; tuples travel as lists."""
    plain = list(usual) if isinstance(usual, tuple) else usual
    return value is not None and (list(value) if isinstance(value, tuple) else value) != plain


def read_learner_options(given: dict[str, Any]) -> LegacyOptions:
    """Sort the options of a job that learns noise.

    Args:
        given: As the client sends them.

    Raises:
        ApiError: a value is none that the client's own options take.
    """
    asked = {
        name: value for name, value in given.items() if name != "support_qiskit"
    }  # the client's own mark
    _require_options(asked, NoiseLearner)
    options: dict[str, Any] = {name: asked[name] for name in LEARNER_FIELDS if name in asked}
    notes = []
    for key, value in flatten(asked).items():
        if key == "simulator.seed_simulator":
            options["simulator"] = {"seed_simulator": value}
        elif key not in options and value is not None:
            notes.append(_note(key, value))
    return LegacyOptions(options, notes)


def _mitigation(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What is done against errors under the names of the in-process Estimator, and a note of what does not act.

    Raises:
        ApiError: the readout is to be learned in a way that is not the client's.
    """
    values = {name: given[name] for name in MITIGATING if name in given}
    resilience = dict(values.get("resilience") or {})
    notes = []
    if resilience.get("layer_noise_model") is not None:
        key = "params.options.resilience.layer_noise_model"
        resilience["layer_noise_model"] = received_noise(resilience["layer_noise_model"], key)
        learning = flatten(
            resilience.pop("layer_noise_learning", None) or {}, "resilience.layer_noise_learning."
        )
        told = "layer_noise_model has what was learned"
        notes += [_note(key, value, told) for key, value in learning.items() if value is not None]
    learning = dict(resilience.get("measure_noise_learning") or {})
    if learning.pop("shots_per_randomization", "auto") != "auto":
        raise ApiError(
            400,
            "'params.options.resilience.measure_noise_learning.shots_per_randomization' cannot be chosen here: each "
            "has the job's shots / num_randomizations; leave it at 'auto'.",
        )
    resilience["measure_noise_learning"] = learning
    acting, idle = without_idle({**values, "resilience": resilience})
    _require_no_noise_learned(acting.get("resilience", {}))
    notes += [_note(key, value, f"it {reason}") for key, value, reason in idle]
    return acting, notes


def _randomizing(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What of a Sampler's twirling and echoes acts, and a note of what does not."""
    switches = {
        TWIRLS: (("enable_gates", "enable_measure"), "twirling.enable_gates or twirling.enable_measure"),
        ECHOES: (("enable",), "dynamical_decoupling.enable"),
    }
    acting, notes = {}, []
    for group, values in given.items():
        names, switch = switches[group]
        if any(values.get(name) for name in names):
            acting[group] = dict(values)
        else:
            notes += [
                _note(key, value, f"it acts with {switch}, which is off")
                for key, value in flatten({group: values}).items()
                if value not in (None, False, "auto")
            ]
    return acting, notes


def _require_no_noise_learned(acting: Mapping[str, Any]) -> None:
    """Refuse what takes noise of layers where none is given: a request would wait for the job that learns it.

    Raises:
        ApiError: noise is to be cancelled, or amplified as it was learned.
    """
    if acting.get("layer_noise_model") is not None:
        return
    if acting.get("pec_mitigation"):
        key = "pec_mitigation"
    elif (acting.get("zne") or {}).get("amplifier") == "pea":
        key = "zne.amplifier"
    else:
        return
    raise ApiError(
        400,
        f"'params.options.resilience.{key}' takes noise that an Estimator does not learn here. "
        "Run NoiseLearner, and give resilience.layer_noise_model its result.",
    )


def _asks(values: Mapping[str, Any]) -> bool:
    """Whether something is to be done, beside what the level says."""
    return any(value is True for value in flatten(values).values())


def _some(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _note(key: str, value: object, reason: str | None = None) -> str:
    told = shorten(f"{key}={value!r}", 200)
    return f"WARNING option {told} has no effect in the local runtime{f': {reason}' if reason else ''}"


def _require_options(given: dict[str, Any], primitive: type) -> None:
    """Refuse values that the client's own options do not take; what they do not know is told in the job's log.

    Raises:
        ApiError: there is one.
    """
    from pydantic import ValidationError
    from qiskit_ibm_runtime import options

    known = getattr(options, _CLIENTS[primitive])
    exact = given.get("default_precision") == 0  # an extension of ours
    present = {
        key: value
        for key, value in given.items()
        if value is not None and not (exact and key == "default_precision")
    }
    try:
        known(**present)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["type"] not in _UNTOLD]
        if wrong:
            place = ".".join(str(part) for part in wrong[0]["loc"] if str(part) in _names(given))
            said = wrong[0]["msg"].removeprefix("Value error, ").rstrip(".")
            told = shorten(ascii(wrong[0]["input"]), 60)
            raise ApiError(400, f"params.options.{place}: {said}, got {told}") from error
    limit = given.get("max_execution_time")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ApiError(
            400, "'params.options.max_execution_time' must be a whole number of at least 1 second."
        )


_CLIENTS: dict[type, str] = {
    EstimatorV2: "EstimatorOptions",
    SamplerV2: "SamplerOptions",
    NoiseLearner: "NoiseLearnerOptions",
}
"""What the client calls the options of each."""
_UNTOLD = ("unexpected_keyword_argument", "is_instance_of")
"""Errors of pydantic about options that are experimental, and about the other types of a union."""


def _names(given: Mapping[str, Any]) -> set[str]:
    return {part for key in flatten(given) for part in key.split(".")}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options by their paths."""
    return dict(_paths(values, prefix))


def _paths(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

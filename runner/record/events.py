"""Every fact of a run, once: what it is called in the journal, what it says and in which units.

A fact is made by naming its fields and read by its attributes; the kind, which is text, matters only where a line is
written or read. What is given is written, in the order in which it is declared here; what a line does not say, because
an earlier release did not know it or because it does not apply, reads as its default. What a later release adds is
kept and not looked at, and a line of a kind that is not known here is an `Other`.

Numbers that are not finite are read back as JSON has them: "nan", "inf", "-inf".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from types import UnionType
from typing import (
    Any,
    ClassVar,
    NamedTuple,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from runner.record.result import LARGEST, LATEST, LONGEST, check_result

Kind = TypeVar("Kind", bound="Event")
Vocabulary = dict[str, "type[Event]"]
Said = dict[str, Any]
"""What a line says, by name."""

RUN: Vocabulary = {}
"""Kind → class, of all facts that the journal of a run knows."""

RESERVED = frozenset(("journal", "seq", "t", "kind", "crc"))
"""Names that every line has for itself."""


class Event:
    """A fact.

    It lives in the dictionary that it was made or read from: a run makes several for each evaluation, and half a
    million of them are read back.
    """

    kind: ClassVar[str] = ""
    """What it is called in the journal."""
    replayed: ClassVar[bool] = False
    """A resumed run produces it again; the others speak of one process."""
    derived: ClassVar[bool] = False
    """It follows from what is recorded before it, so that a kill may cost it: it is worked out again."""

    seq: int = -1
    """Number of its line; −1 before it is read from one."""
    t: float = 0.0
    """When it was written, in Unix seconds; 0 before it is read."""
    journal: int | None = None
    """Version of the journal's format, in its first line."""

    _names: ClassVar[tuple[str, ...]] = ()
    _needed: ClassVar[frozenset[str]] = frozenset()
    _orders: ClassVar[dict[tuple[str, ...], tuple[str, ...]]] = {}

    def __init__(self, **said: Any) -> None:
        try:
            order = self._orders[tuple(said)]
        except KeyError:
            order = self._order(tuple(said))
        _live_in(self, {name: said[name] for name in order} if order else said)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.said().items())})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self.kind == other.kind and self.said() == other.said()

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def _order(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        """The order of fields for those that were given; empty where it is theirs. Worked out once for each set."""
        wrong = [*(set(given) - set(cls._names)), *(cls._needed - set(given))]
        if wrong:
            raise TypeError(f"{cls.__name__} is made of {', '.join(cls._names)}; wrong or missing: {wrong}")
        order = tuple(name for name in cls._names if name in given)
        return cls._orders.setdefault(given, () if order == given else order)

    @classmethod
    def read(cls, said: Said) -> Self:
        """The fact that says this; it keeps the dictionary."""
        event = object.__new__(cls)
        _live_in(event, said)
        return event

    @property
    def stream(self) -> str:
        """Among facts of its kind, those with which it keeps its order when a run is repeated: those of a workload."""
        return str(self.__dict__.get("workload", ""))

    def said(self) -> Said:
        """What its line says besides its number, time and kind; not to be changed."""
        found = self.__dict__
        return found if "t" not in found else _without_reserved(found)

    @classmethod
    def _with(cls, said: Said, more: Mapping[str, object]) -> Self:
        """The fact that says this, of which `more` may be by any name but those that every line has for itself.

        Raises:
            ValueError: by one of these.
        """
        if more and not RESERVED.isdisjoint(more):
            raise ValueError(f"{cls.kind} uses a reserved name: {sorted(RESERVED & set(more))}")
        return cls.read(said)

    def _more(self) -> Said:
        """What it says beyond the fields that all of its kind have."""
        return {name: value for name, value in self.said().items() if name not in self._names}


def _without_reserved(said: Said) -> Said:
    return {name: value for name, value in said.items() if name not in RESERVED}


_live_in: Callable[[Event, Said], None] = Event.__dict__["__dict__"].__set__


@dataclass_transform(kw_only_default=True, frozen_default=True)
def fact(
    kind: str, *, replayed: bool = False, derived: bool = False, among: Vocabulary = RUN
) -> Callable[[type[Kind]], type[Kind]]:
    """Make a class with annotated fields a frozen dataclass, and the journal's word for it known.

    Args:
        kind: the word.
        replayed: a resumed run produces it again.
        derived: it follows from the facts before it.
        among: the words of one sort of journal.
    """

    def declare(cls: type[Kind]) -> type[Kind]:
        cls.kind, cls.replayed, cls.derived = kind, replayed, derived
        dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)(cls)
        cls._names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
        cls._needed = frozenset(name for name in cls._names if not hasattr(cls, name))
        cls._orders = {}
        among[kind] = cls
        return cls

    return declare


class Other(Event):
    """A fact of a kind that is not known here."""

    def said(self) -> Said:
        """What its line says besides its number, time and kind."""
        return _without_reserved(self.__dict__)


def event_of(said: Said, vocabulary: Mapping[str, type[Event]] = RUN) -> Event:
    """The fact that the content of a line is about; it keeps the dictionary."""
    found = vocabulary.get(said.get("kind", ""))
    if found is None:
        return Other.read(said)
    del said["kind"]
    return found.read(said)


def check_said(said: Said, vocabulary: Mapping[str, type[Event]] = RUN) -> None:
    """Refuse the content of a line that says something of another type than a fact of its kind can.

    Raises:
        ValueError: naming the field.
    """
    kind, moment = said.get("kind", ""), said.get("t", 0.0)
    if type(kind) is not str or type(moment) not in _NUMBERS or not 0 <= moment < LATEST:
        raise ValueError(f"kind {str(kind)[:40]!r} at {str(moment)[:40]!r}")
    found = vocabulary.get(kind)
    if found is not None:
        _check_types(found, said)
    if found is JobCompleted:
        _check_order(said)
        if said.get("result") is not None:
            check_numbers(said["result"])
    if found is JobSubmitted:
        _check_work(said.get("work") or ())
        _check_work(said.get("unmitigated") or ())
    if found is Result and "result" in said:
        finite = {name: one for name, one in said["result"].items() if one not in _NOT_FINITE}
        check_result(finite, "the result")


def _check_order(said: Said) -> None:
    """Refuse a job that was over before its turn came.

    Raises:
        ValueError: telling both times [s].
    """
    started, finished = said.get("started"), said.get("finished")
    if started is not None and finished is not None and finished < started - _ROUNDING:
        raise ValueError(f"it finished at {finished} and started at {started}")


def _check_work(parts: Sequence[object]) -> None:
    """Refuse what are no executions of circuits, each with its length [s], which may not be known.

    Raises:
        ValueError: telling the part.
    """
    for part in parts:
        if type(part) is list and len(part) == 2:
            count, length = part
            if (
                type(count) in _NUMBERS
                and 0 <= count < LARGEST
                and (length is None or (type(length) in _NUMBERS and 0 <= length < LONGEST))
            ):
                continue
        raise ValueError(f"work holds {str(part)[:40]!r}")


def check_numbers(result: Sequence[Any]) -> None:
    """Refuse what is no result of a job: for each PUB arrays, whose entries are looked at where they are used.

    Raises:
        ValueError: naming the array.
    """
    if type(result) is not list:
        raise ValueError("result is no list")
    for numbers in result:
        if type(numbers) is not dict:
            raise ValueError("result holds what it cannot")
        for name, value in numbers.items():
            kind = type(value)
            if kind is int:
                _check_size(f"{name} of a result", value)
            if (
                kind is bool
                or (kind is int and name in _EXPECTED)
                or (kind is str and value not in _NOT_FINITE)
            ):
                raise ValueError(f"{name} of a result is a {kind.__name__}")


_NUMBERS = frozenset((float, int))
_SECONDS = frozenset(
    (
        "time",
        "started",
        "finished",
        "queue_seconds",
        "qpu_seconds",
        "qpu_estimate",
        "preparation",
        "usage_time",
    )
)
"""Fields that tell when something was, or how long it took, which is less than `LONGEST`."""
_LENGTHS = frozenset(("qpu_seconds", "qpu_estimate", "preparation", "usage_time"))
"""Those that tell how long something took by one clock, which is not below 0 but for rounding."""
_ROUNDING = 1e-6
_NOT_FINITE = ("nan", "inf", "-inf")
_EXPECTED = frozenset(("evs", "stds"))
"""Arrays of floats, or one."""
_Types = tuple[frozenset[type], frozenset[type]]


def _check_types(cls: type[Event], said: Said) -> None:
    """Refuse values, and entries of lists and mappings, of another type than a fact's fields have.

    Raises:
        ValueError: naming the field.
    """
    # most lines of a journal have one of a few forms, so what a form needs is worked out once
    form = _form(cls, tuple(said), tuple(map(type, said.values())))  # type: ignore[arg-type]
    if form is None:
        _check_each(cls, said)
        return
    for name, inner in form.containers:
        value = said[name]
        kinds = set(map(type, value if type(value) is list else value.values()))
        if int in kinds or not inner.issuperset(kinds):
            _check_each(cls, said)
            break
    for name in form.whole:
        if not -LARGEST <= said[name] < LARGEST:
            _check_size(name, said[name])
    for name, least in form.seconds:
        if not least < said[name] < LONGEST:
            raise ValueError(f"{name} is {said[name]}")


def _least(name: str) -> float:
    return -_ROUNDING if name in _LENGTHS else -LONGEST


def _check_size(name: str, value: int) -> None:
    if not -LARGEST <= value < LARGEST:
        raise ValueError(f"{name} is a number of {value.bit_length()} bits")


class _Form(NamedTuple):
    """What is to be looked at in lines with the same names and types of values."""

    containers: tuple[tuple[str, frozenset[type]], ...]
    """Fields whose entries have types of their own, and these."""
    whole: tuple[str, ...]
    """Fields that are whole numbers."""
    seconds: tuple[tuple[str, float], ...]
    """Fields that tell a time, and what it is above."""


@lru_cache(maxsize=512)
def _form(cls: type[Event], names: tuple[str, ...], kinds: tuple[type, ...]) -> _Form | None:
    """The form of lines with these names and types of values; None where the types do not fit, or not always."""
    known = _types(cls)  # type: ignore[arg-type]
    containers = []
    for name, kind in zip(names, kinds, strict=True):
        own, inner = known.get(name, (frozenset((kind,)), frozenset()))
        if kind is not type(None) and kind not in own:
            return None
        if inner and (kind is list or kind is dict):
            containers.append((name, inner))
    typed = list(zip(names, kinds, strict=True))
    return _Form(
        tuple(containers),
        tuple(name for name, kind in typed if kind is int),
        tuple((name, _least(name)) for name, kind in typed if kind in _NUMBERS and name in _SECONDS),
    )


def _check_each(cls: type[Event], said: Said) -> None:
    known = _types(cls)  # type: ignore[arg-type]
    for name, value in said.items():
        if value is None or name not in known:  # null says that nothing is known
            continue
        own, inner = known[name]
        kind = type(value)
        named = float in own and name not in _SECONDS and kind is str and value in _NOT_FINITE
        if kind not in own and not named:
            raise ValueError(f"{name} is a {kind.__name__}")
        if kind is int:
            _check_size(name, value)
        if kind in _NUMBERS and name in _SECONDS and not _least(name) < value < LONGEST:
            raise ValueError(f"{name} is {value}")
        if inner and (kind is list or kind is dict):
            items = value if kind is list else value.values()
            if not inner.issuperset(map(type, items)) and not (
                float in inner and all(type(item) in inner or item in _NOT_FINITE for item in items)
            ):
                raise ValueError(f"{name} holds what it cannot")
            for item in items:
                if type(item) is int:
                    _check_size(name, item)


@cache
def _types(cls: type[Event]) -> dict[str, _Types]:
    """Field → the types that JSON has for its values and for their entries; without those that may be anything."""
    found = {}
    for name, hint in get_type_hints(cls).items():
        own, inner = _of_hint(hint)
        if name in cls._names and own:
            found[name] = own, inner
    return found


def _of_hint(hint: Any) -> _Types:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is UnionType or origin is Union:
        all_of = [_of_hint(part) for part in parts]
        return frozenset().union(*(own for own, _ in all_of)), frozenset().union(*(one for _, one in all_of))
    kind = origin or hint
    if kind is float:
        return _NUMBERS, frozenset()
    if kind in (list, Sequence):
        return frozenset((list,)), _of_hint(parts[0])[0] if parts else frozenset()
    if kind in (dict, Mapping):
        return frozenset((dict,)), _of_hint(parts[1])[0] if parts else frozenset()
    return (frozenset((kind,)) if kind in (str, int, bool, type(None)) else frozenset()), frozenset()


# -- the run and its processes ----------------------------------------------------------------------------


@fact("run.started")
class RunStarted(Event):
    """A run begins: what was declared, and what else may change a number."""

    run_id: str
    """Name of the run directory."""
    identity: int = 1
    """How its jobs are told apart by digest, see `runner.record.replay.IDENTITY`."""
    ids: str = ""
    """Digest of the configuration, which the ids of its sessions and jobs depend on; empty: on the seed alone."""
    name: str
    """What the run is called."""
    experiment: str
    """Name of the experiment, which is that of its main workload too."""
    config: Said
    """The whole declaration."""
    schemas: dict[str, str]
    """Group → name of the schema that its choice was checked by."""
    overrides: list[str]
    """What was typed."""
    config_dirs: Sequence[str] = ()
    """Folders with further choices, as absolute paths."""
    programmed: bool = False
    """A program declared it, so that what was typed does not say everything."""
    seed: int
    """Seed of the run."""
    forked_from: str | None = None
    """`run_id` of the run at whose best parameters it starts."""
    versions: Mapping[str, str]
    """Package → version."""
    threads: int
    """Threads of the simulator."""
    processor: str
    """Model name."""
    commit: str | None = None
    """Git commit of the folder, with a + when there were changes; None outside a repository."""
    pid: int = 0
    """Process."""
    idle_qubits: str | None = None
    """What becomes of qubits that wait; None where nothing is noisy."""
    simulation: str | None = None
    """How noise or branches were simulated, and why, in words; None where there were none."""
    mitigation: str | None = None
    """What is done against errors, in words; None where nothing is."""
    chosen: str | None = None
    """The device that was chosen for the circuit by its calibration; None where the declaration names it."""
    energy_unit: str | None = None
    """What energies are in: Ha, J, …; None where the Hamiltonian does not say."""
    quantity: str | None = None
    """What is evaluated: energy | energy + penalty | CVaR | expectation value | …; None where nothing of the kind is,
    and in earlier releases, see `runner.record.quantity`."""
    rounding: float | None = None
    """What rounding may leave of an expectation value that is 0, in its unit; None where nobody knows, and in earlier
    releases."""
    files: Mapping[str, Mapping[str, str]] | None = None
    """`hamiltonian` and `ansatz` → file that it was read from → digest of its content; None: from none, or an earlier
    release, which did not tell."""
    parent: str | None = None
    """The sweep it belongs to, told apart from every other."""
    unused: Sequence[str] = ()
    """Parts of the configuration that change nothing in the experiment, and are not told with it."""


@fact("run.resumed")
class RunResumed(Event):
    """Another process goes on with the run."""

    pid: int = 0
    """That process."""
    budgets: Mapping[str, Any] | None = None
    """Key → value of the budgets that it goes on with in place of those declared; None: with no others."""
    leaves: bool = False
    """Whether it leaves the session that was closed where the run stopped; earlier releases went on in it."""


@fact("run.interrupted")
class RunInterrupted(Event):
    """A process begins to shut down; what it does from here on is no part of the run."""

    reason: str = ""
    """Why, without secrets."""


@fact("result")
class Result(Event):
    """The content of result.json."""

    result: Mapping[str, Any]
    """As `runner.run.results.RunResult` has it; usage in seconds, cost in USD."""


@fact("run.ended")
class RunEnded(Event):
    """A process has come to the run's end; one that was stopped may still be resumed."""

    status: str
    """finished | stopped | interrupted | failed."""
    stop_reason: str = ""
    """In words."""
    exit_code: int = 0
    """What the process ends with."""


@fact("note")
class Note(Event):
    """Something that a reader of the run should know."""

    level: str
    """As in logging: warning | …"""
    text: str
    """One line."""


# -- what is computed ---------------------------------------------------------------------------------------


@fact("hamiltonian")
class HamiltonianRead(Event):
    """How the file of the Hamiltonian was understood."""

    format: str
    """Format of the file, in words."""
    qubits: int
    """Qubits it acts on."""
    terms: int
    """Pauli terms."""
    first_term: str
    """Weight and letters."""
    last_term: str
    """Weight and letters."""
    identity: float
    """Weight of the identity, in the Hamiltonian's unit."""
    order: str
    """Which end of a label is qubit 0."""
    notes: list[str]
    """What was assumed."""
    words: str
    """All of it on one line."""


@fact("problem")
class ProblemPosed(Event):
    """Sizes, the exact energy, and both circuits."""

    qubits: int
    """Qubits of the Hamiltonian."""
    terms: int
    """Pauli terms."""
    parameters: int
    """Parameters of the ansatz."""
    parameter_names: list[str] | None = None
    """In the order of the parameters; None in 0.1.0."""
    reference_energy: float | None = None
    """Exact lowest energy in the Hamiltonian's unit; None where it is not known."""
    source: str | None = None
    """Where the Hamiltonian is from; None where it was declared in full."""
    reference_note: str | None = None
    """Where the exact energy is from and which states it is the lowest of."""
    sector: Mapping[str, int] | None = None
    """`up` and `down` electrons; None where there are no electrons."""
    circuits: Mapping[str, Mapping[str, Any]]
    """`declared` and `device` → depth, two_qubit_gates, gates, and qasm (OpenQASM 3; None where it is too long)."""

    def program(self, name: str) -> str | None:
        """A circuit in OpenQASM 3; None where it is not written down, or something else is in its place."""
        text = self.circuits.get(name, {}).get("qasm")
        return text if isinstance(text, str) else None


@fact("evaluation", replayed=True, derived=True)
class Evaluation(Event):
    """One energy as a function of the parameters."""

    workload: str
    """Whose."""
    index: int
    """How many the workload has evaluated before."""
    energy: float
    """In the Hamiltonian's unit."""
    stddev: float
    """Its standard error; 0 where it is exact."""
    best: float
    """The workload's lowest energy so far."""
    gradient_norm: float | None = None
    """√Σ(∂E/∂θ)², where a gradient was measured."""
    mean: float | None = None
    """Mean energy of all bitstrings sampled, where `energy` is another function of them."""
    lowest: float | None = None
    """Lowest energy of the bitstrings sampled."""
    parameters: list[float] | None = None
    """In radians, shape (P,), where this one is the lowest so far."""

    @classmethod
    def of(
        cls,
        more: Mapping[str, object],
        *,
        workload: str,
        index: int,
        energy: float,
        stddev: float,
        best: float,
    ) -> Evaluation:
        """The evaluation with what its objective tells besides, and its parameters where it is the lowest.

        Raises:
            ValueError: it tells something by a name that every line has for itself.
        """
        return cls._with(
            {"workload": workload, "index": index, "energy": energy, "stddev": stddev, "best": best, **more},
            more,
        )


@fact("iteration", replayed=True, derived=True)
class Iteration(Event):
    """One step of an optimizer, which may tell more of it."""

    workload: str
    """Whose."""
    iteration: int
    """Its number, from 1."""
    energy: float | None = None
    """Where it stands, in the Hamiltonian's unit."""
    evaluations: int | None = None
    """Energies evaluated so far in this minimization."""

    @classmethod
    def of(cls, workload: str, iteration: int, progress: Mapping[str, object]) -> Iteration:
        """The step with all that the optimizer tells of it, `energy` and `evaluations` among that.

        Raises:
            ValueError: it tells something by a name that every line has for itself.
        """
        return cls._with({"workload": workload, "iteration": iteration, **progress}, progress)

    @property
    def more(self) -> Said:
        """What this optimizer tells of its steps beyond what all do."""
        return self._more()


@fact("samples", replayed=True)
class SamplesTaken(Event):
    """Shots that another run has sampled, and that this one goes on with."""

    run: str
    """Name of that run's directory."""
    jobs: int
    """Sampler jobs they are from."""
    shots: int
    """How many."""
    digest: str
    """Of their bits."""


@fact("reserve", replayed=True)
class Reserve(Event):
    """The rest of the session is kept for measuring the result."""

    workload: str
    """The first that was stopped."""
    seconds_left: float
    """Of the session, in seconds of its clock."""
    seconds_needed: float
    """To measure the result, in seconds of its clock; 0: nothing is left to be measured, and the next job is longer."""


SHOTS = "optimizer.max_shots"
"""The budget that workloads which race have each for itself; after it there is a result, and the others go on."""


@fact("budget", replayed=True)
class BudgetReached(Event):
    """The next job would exceed a budget, so the run measures its result and ends."""

    workload: str
    """Whose job it is."""
    key: str
    """optimizer.max_shots [executions] | session.max_cost [USD] | session.max_usage [s]: the unit of what follows."""
    allowed: float
    """The budget."""
    spent: float
    """By all jobs before."""
    needed: float
    """By that job."""
    measuring: float
    """To measure the result."""


@fact("candidates", replayed=True)
class Candidates(Event):
    """The points that may be a workload's answer, measured afresh."""

    workload: str
    """Whose."""
    candidates: Sequence[Mapping[str, Any]]
    """For each point origin (answer | mean | best), energy, stddev and parameters [rad]."""
    chosen: int
    """Place of the one with the lowest energy."""


@fact("estimate", replayed=True)
class Estimate(Event):
    """The energy of a workload's answer by shots that had no part in choosing it."""

    workload: str
    """Whose."""
    energy: float
    """In the Hamiltonian's unit."""
    stddev: float
    """Its standard error."""
    parameters: list[float] | None = None
    """In radians, shape (P,); None in 0.1.0."""
    origin: str | None = None
    """answer | mean | best: which candidate it is; None in 0.1.0, which measured the best one only."""


@fact("checkpoint", replayed=True)
class Checkpoint(Event):
    """One row of the result's table."""

    row: int
    """How many rows there are before it."""

    @classmethod
    def of(cls, row: int, columns: Mapping[str, object]) -> Checkpoint:
        """The row with what the experiment says in it.

        Raises:
            ValueError: a column has a name that every line has for itself.
        """
        return cls._with({"row": row, **columns}, columns)

    @property
    def columns(self) -> Said:
        """Column → value."""
        return self._more()


# -- sessions and jobs; times in seconds on the session's clock ---------------------------------------------


@fact("ibm")
class IbmAnnounced(Event):
    """A real machine is going to be used."""

    token: str
    """What the tags of all jobs of this run begin with."""
    started: str
    """The date that times count from, ISO 8601."""
    backend: str
    """Name of the machine."""
    mitigated_by: str = "undeclared"
    """Who mitigates: client (by its own primitives) | service | undeclared (the service, at its own level, in runs from
    before the estimator said what is done)."""


@fact("session", replayed=True)
class SessionChanged(Event):
    """A session or batch is in another state."""

    session: str
    """Its id."""
    state: str
    """open | active | inactive | closed."""
    status: str
    """The same in the words of `Session.status()`."""
    reason: str
    """What brought it there."""
    time: float
    """When [s]."""
    accepting_jobs: bool
    """Whether it takes new ones."""
    mode: str
    """dedicated | batch."""
    backend: str
    """Name of the device."""
    max_time: float
    """How long it may last [s]."""
    interactive_timeout: float | None = None
    """How long it stays active without a job [s]."""
    usage_time: float | None = None
    """What it is charged so far [s]; None where the service does not tell."""

    @property
    def stream(self) -> str:
        """The session."""
        return self.session


@fact("job.submitted", replayed=True, derived=True)
class JobSubmitted(Event):
    """A job waits for its turn."""

    job: str
    """Its id."""
    workload: str
    """Whose."""
    index: int
    """How many the workload has submitted before."""
    digest: str
    """What was asked."""
    session: str | None
    """Id of its session or batch; None in job mode."""
    backend: str
    """Name of the device."""
    tags: list[str]
    """Its tags."""
    program: str
    """estimator | sampler."""
    seed: int | None
    """Seed of its random numbers; None on a real machine."""
    after: str | None = None
    """The job whose end its program had seen last; None where that is none, or not known: on a real machine."""
    time: float
    """When [s]."""
    qpu_estimate: float | None
    """What it is expected to take on the QPU [s]; None on a real machine."""
    preparation: float
    """Classical work before it comes to the QPU [s]."""
    pubs: Sequence[Mapping[str, Any]]
    """For each PUB its values [rad], shape, shots and precision."""
    work: list[list[Any]] | None = None
    """For each circuit executions and their length [s], of which the cost model reckons; None on a real machine."""
    unmitigated: list[list[Any]] | None = None
    """The same if nothing were done against errors; None where nothing is."""


@fact("job.completed", replayed=True)
class JobCompleted(Event):
    """A job is over, whatever became of it."""

    job: str
    """Its id."""
    workload: str
    """Whose."""
    index: int
    """How many the workload has submitted before."""
    digest: str
    """What was asked."""
    session: str | None
    """Id of its session or batch; None in job mode."""
    status: str
    """DONE | FAILED | CANCELLED."""
    reason: str | None = None
    """Why it is not done."""
    code: int | None = None
    """The service's number for that."""
    session_ended: bool = False
    """The end of its session is to blame."""
    started: float | None
    """When its turn came [s]; None if it never did."""
    finished: float
    """When it was over [s]."""
    time: float
    """The same [s]."""
    queue_seconds: float
    """From its submission to its turn [s]."""
    qpu_seconds: float
    """What it took on the QPU [s]."""
    result: Sequence[Mapping[str, Any]] | None = None
    """For each PUB its arrays by name; None if it is not done."""
    simulation_failed: bool = False
    """Its simulation failed, which is no fact about the experiment: another attempt may succeed."""

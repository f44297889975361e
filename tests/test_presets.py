"""No preset in conf/ can rot: experiments run, every other choice composes and builds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from runner import run
from runner.declare.composer import declare, restore
from runner.declare.config import CONF, GROUPS, RunConfig
from runner.declare.registry import registered
from runner.errors import ConfigError
from runner.run.preflight import Preparation
from runner.whatif.forecast import forecast
from tests.choices import choices

SMALL = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=6", "estimator.default_shots=200")
SHRUNK = {
    "adapt_vqe": ["hamiltonian=h2", "experiment.max_operators=1"],
    "dissociation_curve": ["experiment.values=[0.7,0.9]"],
    "dynamics": ["hamiltonian.shape=[3]", "experiment.steps=2"],
    "kicked_ising": [
        "backend=generic",
        "backend.num_qubits=5",
        "backend.topology=line",
        "backend.engine=pauli",
        "experiment.depth=1",
        "experiment.points=2",
        "experiment.observables=[magnetization]",
    ],
    "qaoa": ["hamiltonian.nodes=4", "ansatz.reps=1"],
    "skqd": ["hamiltonian.shape=[4]", "experiment.dimension=2"],
    "krylov": ["hamiltonian.shape=[3]", "experiment.dimension=2"],
    "sqd": ["hamiltonian=hydrogen", "experiment.jobs=1"],
    "vqd": ["experiment.levels=2", "experiment.starts=1"],
    "varqite": ["experiment.steps=2"],
}
"""What makes a preset small beyond a few evaluations and shots."""

EXTRAS = {"sqd": "qiskit_addon_sqd"}
"""What a preset needs that not every installation has."""

NEEDS = {
    "ansatz=qaoa": {"hamiltonian": "maxcut"},
    "ansatz=uccsd": {"hamiltonian": "h2"},
    "ansatz=hartree_fock": {"hamiltonian": "h2"},
    "backend=electrons": {
        "ansatz": "lucj",
        "hamiltonian": "hydrogen",
        "experiment": "sampling",
        "estimator": "shots",
    },
    "ansatz=lucj": {"hamiltonian": "hydrogen", "experiment": "sampling", "estimator": "shots"},
    "ansatz=gates": {"hamiltonian": "two_qubit"},
    "ansatz=bell": {"hamiltonian": "two_qubit", "experiment": "sampling", "estimator": "shots"},
    "ansatz=file": {
        "hamiltonian": "two_qubit",
        "experiment": "sampling",
        "estimator": "shots",
        "ansatz.path": "circuit.qasm",
    },
    # the default of 133 qubits is composed in test_backend.py and run by examples/session_page.py
    "backend=device": {"hamiltonian": "two_qubit", "backend.device": "fake_manila"},
    "backend=fake_manila": {"hamiltonian": "two_qubit"},
    **{
        f"estimator={name}": {"backend": "fake_manila", "hamiltonian": "two_qubit"}
        for name in ("level1", "level2", "page", "pea", "pec")
    },
    "estimator=target": {"experiment": "vqe"},
    **{
        f"optimizer={name}": {"estimator": "exact", "experiment": "vqe"}
        for name in ("dogleg", "newton_cg", "trust_exact", "trust_krylov", "trust_ncg")
    },
    "hamiltonian=beh2": {"backend": "ideal"},
    "hamiltonian=file": {"hamiltonian.path": "terms.json"},
    "hamiltonian=pauli": {"hamiltonian.terms": "[[ZZ,1.0],[XX,0.5]]"},
}
"""What a choice does not work without, or not fast."""

REFUSED = {"session=open": "an open plan may not open sessions"}
"""Choices that exist to show what the service refuses."""

SWEEPS = ("sweep_", "search_")
"""Presets that are many runs; see test_sweep.py."""
EXPERIMENTS = [name for name in choices("experiment") if not name.startswith(SWEEPS)]
ALONE = [
    "backend=ibm",
    "backend=best",
    *(f"experiment={name}" for name in choices("experiment") if name not in EXPERIMENTS),
]
"""Choices that are composed and not built: they need an account, or are many runs."""


def rounds() -> list[dict[str, str]]:
    """Declarations that together show every choice of conf/: each tries one of every group, for speed."""
    apart = {*ALONE, *REFUSED}
    left = {
        group: [name for name in choices(group) if f"{group}={name}" not in apart]
        for group in ("ansatz", "backend", "hamiltonian", "session", "optimizer", "estimator", "tracking")
    }
    made = []
    while any(left.values()):
        chosen: dict[str, str] = {}
        for group, names in left.items():
            for name in names:
                wanted = {group: name, **NEEDS.get(f"{group}={name}", {})}
                if all(chosen.get(key, value) == value for key, value in wanted.items()):
                    chosen |= wanted
                    break
        if chosen.get("experiment") == "sampling":
            chosen.pop("optimizer", None)  # refused: bitstrings are drawn without one
        for group, names in left.items():
            if chosen.get(group) in names:
                names.remove(chosen[group])
        made.append(chosen)
    return made


ALGORITHM = {"session_guide": "vqe"}
"""Presets that are another experiment with settings of their own."""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_preset_runs(workdir: Path, name: str) -> None:
    """Shrunk, to its end, in one session, with a result that says which experiment it was."""
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    declaration = declare([f"experiment={name}", *SMALL, *SHRUNK.get(name, [])])

    result = run(restore(declaration.values, declaration.schemas).config)

    assert (result.status, result.exit_code) == ("finished", 0)
    assert result.experiment == ALGORITHM.get(name, name)
    assert len(result.session_ids) == 1
    assert result.energy is not None or result.table


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_preset_begins_with_its_command(name: str) -> None:
    """What it is, in one sentence, then what to type."""
    lines = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()

    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
    assert lines[1].endswith(".")
    assert lines[2] == f"# python -m runner experiment={name}"


@pytest.mark.parametrize("chosen", rounds(), ids=lambda chosen: ",".join(chosen.values()))
def test_every_other_choice_composes_reads_back_and_builds(workdir: Path, chosen: dict[str, str]) -> None:
    """Each YAML fits its schema, config.yaml rebuilds the declaration, and what a run needs is made."""
    Path("circuit.qasm").write_text('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\n')
    Path("terms.json").write_text('[["ZZ", 1.0], ["XI", 0.5]]')
    declaration = declare([f"{key}={value}" for key, value in chosen.items()])

    again = restore(declaration.values, declaration.schemas)

    assert again.config == declaration.config
    assert again.values == declaration.values
    for group in chosen.keys() & set(GROUPS):
        assert getattr(declaration.config, group).name.startswith(chosen[group])
    if chosen.get("hamiltonian") == "molecule":
        pytest.importorskip("qiskit_nature")
    if chosen.get("ansatz") == "lucj":
        pytest.importorskip("ffsim")
    Preparation(declaration.config)


@pytest.mark.parametrize("choice", ALONE)
def test_choices_that_are_not_built_compose_and_read_back(choice: str) -> None:
    """An account and a sweep are declared like anything else."""
    declaration = declare([choice])

    again = restore(declaration.values, declaration.schemas)

    assert (again.config, again.values) == (declaration.config, declaration.values)


@pytest.mark.parametrize(("choice", "reason"), REFUSED.items())
def test_what_the_service_refuses_is_refused_when_composed(choice: str, reason: str) -> None:
    """The preset shows the message."""
    with pytest.raises(ConfigError, match=reason):
        declare([choice])


def test_every_choice_is_tried() -> None:
    """The rounds above, what stands alone, what is refused and the experiments are all there is."""
    tried = {f"{group}={name}" for chosen in rounds() for group, name in chosen.items() if group in GROUPS}

    assert tried | {*ALONE, *REFUSED} | {f"experiment={name}" for name in EXPERIMENTS} == {
        f"{group}={name}" for group in GROUPS for name in choices(group)
    }


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_says_what_it_is(group: str) -> None:
    """The first comment of a choice is its line in --help."""
    from runner.cli.manual import choices as described

    assert described(group).keys() == set(choices(group))
    for name, sentence in described(group).items():
        assert sentence.endswith((".", "]).", ")")), f"{group}={name}: {sentence}"


def test_every_schema_has_a_choice() -> None:
    """Nothing can be declared that no preset shows."""
    for group, schemas in registered().items():
        shown = set()
        for path in (CONF / group).glob("*.yaml"):
            first = yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"][0]
            shown.add(first.removeprefix(f"/schema/{group}/").partition("@")[0])

        assert shown >= set(schemas), group


PARTS = ("hamiltonian", "ansatz", "optimizer", "gradient")
"""Parts of a configuration that some experiments have no use for."""
USERS = ("experiments/", "runner/run/problem.py", "runner/run/context.py")
"""Files whose reading of a part is its use; all others look at every configuration."""


class _Recorded(RunConfig):
    """A configuration that remembers which of its parts an experiment has read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        if name in PARTS:
            reader = sys._getframe(1).f_code.co_filename
            if any(user in reader for user in USERS):
                _Recorded.read.add(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in EXTRAS])
def test_what_an_experiment_ignores_is_what_it_does_not_read(name: str) -> None:
    """A part that is refused changes nothing, and one that is shown and compared by is used."""
    config = declare([f"experiment={name}", *SMALL, *SHRUNK.get(name, [])]).config
    config.__class__ = _Recorded
    _Recorded.read = set()
    found = forecast(config)

    assert found.jobs >= 1
    assert found.shots >= 1
    assert found.usage_seconds > 0
    assert _Recorded.read == set(PARTS) - set(config.experiment.ignores)

"""No preset in conf/ can rot: experiments run, every other choice composes and builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runner import compose, run
from runner.config import CONF, GROUPS
from runner.errors import ConfigError
from runner.preparation import Preparation
from runner.schema import registered

SMALL = ("tracking=off", "optimizer.max_evaluations=6", "estimator.default_shots=200")
SHRUNK = {
    "adapt_vqe": ["hamiltonian=h2", "experiment.max_operators=1"],
    "dissociation_curve": ["experiment.values=[0.7,0.9]"],
    "dynamics": ["hamiltonian.shape=[3]", "experiment.steps=2"],
    "qaoa": ["hamiltonian.nodes=4", "ansatz.reps=1"],
    "vqd": ["experiment.levels=2", "experiment.starts=1"],
}
"""What makes a preset small beyond a few evaluations and shots."""

NEEDS = {
    ("ansatz", "qaoa"): ["hamiltonian=maxcut"],
    ("ansatz", "uccsd"): ["hamiltonian=h2"],
    ("ansatz", "hartree_fock"): ["hamiltonian=h2"],
    ("ansatz", "bell"): ["experiment=sampling"],
    ("ansatz", "file"): ["ansatz.path=circuit.qasm", "experiment=sampling"],
    ("hamiltonian", "file"): ["hamiltonian.path=terms.json"],
    ("hamiltonian", "pauli"): ["hamiltonian.terms=[[ZZ,1.0],[XX,0.5]]"],
}
"""What a choice does not work without."""

REFUSED = {("session", "open"): "an open plan may not open sessions"}
"""Choices that exist to show what the service refuses."""

CHOICES = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
    if group not in ("experiment", "optimizer")
]
"""Experiments run below; optimizers are all built and run in test_optimizer.py."""
SWEEPS = ("sweep_", "search_")
"""Presets that are many runs; see test_sweep.py."""
EXPERIMENTS = sorted(
    path.stem for path in (CONF / "experiment").glob("*.yaml") if not path.stem.startswith(SWEEPS)
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_preset_runs(workdir: Path, name: str) -> None:
    """Shrunk, to its end, in one session, with a result that says which experiment it was."""
    result = run(compose(f"experiment={name}", *SMALL, *SHRUNK.get(name, [])))

    assert (result.status, result.exit_code) == ("finished", 0)
    assert result.experiment == name
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


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=lambda value: value)
def test_every_other_choice_composes_and_builds(workdir: Path, group: str, name: str) -> None:
    """Session, backend and problem are made as for a run; nothing is executed."""
    Path("circuit.qasm").write_text('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\n')
    Path("terms.json").write_text('[["ZZ", 1.0], ["XI", 0.5]]')
    overrides = [] if group == "tracking" else ["tracking=off"]
    declared = (f"{group}={name}", *overrides, *NEEDS.get((group, name), []))
    if (group, name) in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[group, name]):
            compose(*declared)
        return
    config = compose(*declared)

    assert getattr(config, group).name.startswith(name)
    if (group, name) == ("hamiltonian", "molecule"):
        pytest.importorskip("qiskit_nature")
    if group in ("hamiltonian", "ansatz", "backend", "session") and name != "ibm":  # which needs an account
        Preparation(config)


def test_every_schema_has_a_choice() -> None:
    """Nothing can be declared that no preset shows."""
    for group, schemas in registered().items():
        shown = set()
        for path in (CONF / group).glob("*.yaml"):
            first = yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"][0]
            shown.add(first.removeprefix(f"/schema/{group}/").partition("@")[0])

        assert shown >= set(schemas), group

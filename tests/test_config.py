"""Composition: what is typed becomes plain, checked Python, and can be written down and read back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hydra
import pytest

from runner.declare.composer import Composer, compose, declare, restore
from runner.declare.config import CONF, flatten
from runner.declare.overrides import Overrides
from runner.errors import ConfigError
from runner.run.execution import to_yaml


def test_compose_gives_plain_dataclasses() -> None:
    """Nothing behind compose() is an OmegaConf node."""
    config = compose("hamiltonian=h2", "seed=7", "session.max_time=25m")

    assert config.seed == 7
    assert config.session.max_time_seconds == 1500
    assert type(config.hamiltonian.terms) is list


@pytest.mark.parametrize(
    "line",
    [
        ["seed=7", "optimizer.max_evaluations=50", "optimizer=spsa"],
        ["optimizer.max_evaluations=50", "++session.max_time=25m", "optimizer=spsa", "name=${seed}"],
        ["experiment=vqe_race", "experiment.optimizers=[cobyla,{spsa:{alpha:1.0}}]"],
    ],
)
def test_what_was_composed_before_composes_to_the_same(
    line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A choice that this process knows already only gets its values set, and nothing of an earlier line stays."""
    monkeypatch.setattr("runner.declare.composer._remembered", {})
    first = declare(line)
    choices = [override for override in line if "." not in override and not override.startswith("seed")]
    declare([*choices, "seed=3", "optimizer.max_evaluations=9"])

    assert declare(line) == first
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        whole = hydra.compose("config", line, return_hydra_config=True)
    assert Composer().declaration(whole, Overrides.of(line)) == first


def test_an_edited_choice_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A notebook's process may live longer than a version of a file in conf/."""
    copy = tmp_path / "conf"
    shutil.copytree(CONF, copy)
    monkeypatch.setattr("runner.declare.composer.CONF", copy)
    monkeypatch.setattr("runner.declare.composer._loaders", {})
    assert compose("optimizer=cobyla").optimizer.max_evaluations == 1000
    path = copy / "optimizer" / "cobyla.yaml"
    path.write_text(path.read_text().replace("rhobeg: 1.0", "rhobeg: 0.125"))
    os.utime(path, ns=(1, 1))

    assert compose("optimizer=cobyla").optimizer.rhobeg == 0.125


def test_yaml_text_round_trips() -> None:
    """config.yaml holds the resolved values, in YAML that any parser reads."""
    import yaml

    values = declare(["optimizer=spsa"]).values

    assert yaml.safe_load(to_yaml(values)) == values


def test_a_run_is_named_by_what_differs_from_the_defaults() -> None:
    """Overrides make the name; paths and tracking do not."""
    declaration = declare(["hamiltonian=h2", "optimizer.max_evaluations=50", "tracking=off", "seed=3"])

    assert declaration.name == "vqe_h2_max_evaluations=50_seed=3"
    assert declare(["name=my run"]).name == "my run"


def test_an_own_folder_adds_choices(workdir: Path) -> None:
    """--config-dir makes the user's own YAML a choice like any other."""
    folder = workdir / "mine" / "session"
    folder.mkdir(parents=True)
    (folder / "short.yaml").write_text(
        "# Ten minutes.\ndefaults:\n  - /schema/session/session@_here_\n  - _self_\nname: short\nmax_time: 10m\n"
    )

    declaration = declare(["session=short"], config_dirs=["mine"])

    assert declaration.config.session.max_time_seconds == 600


def test_interpolations_are_resolved() -> None:
    """A value may refer to another one; what is written down is the value."""
    declaration = declare(["name=run-${seed}", "seed=5"])

    assert declaration.values["name"] == "run-5"


def test_flatten_names_every_leaf() -> None:
    """Dotted keys, in order."""
    assert flatten({"a": {"b": 1, "c": [2]}, "d": None}) == {"a.b": 1, "a.c": [2], "d": None}


def test_restore_refuses_values_that_no_longer_fit() -> None:
    """A config.yaml with a key this version does not know is refused by name."""
    declaration = declare([])
    declaration.values["session"]["colour"] = "red"

    with pytest.raises(ConfigError, match=r"session.colour: unknown key"):
        restore(declaration.values, declaration.schemas)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hamiltonian.geometry=Li 0 0 0; H 0 0 1.6", "Li 0 0 0; H 0 0 1.6"),
        ("hamiltonian.xyz_file=a folder/bell (1).xyz", "a folder/bell (1).xyz"),
    ],
)
def test_plain_text_needs_no_second_quotes(typed, meant):
    """What the shell hands over without its quotes is taken as one text where it can be nothing else."""
    config = compose("hamiltonian=molecule", typed)

    assert meant in (config.hamiltonian.geometry, config.hamiltonian.xyz_file)


def test_a_long_name_ends_with_a_whole_word() -> None:
    """By hand: 80 characters end within the third 1.58; a word that takes most of them is cut."""
    atoms = "H 0 0 0; H 0 0 1.58; H 0 0 3.16; H 0 0 4.74; H 0 0 6.32; H 0 0 7.9"
    name = declare(["hamiltonian=molecule", f"hamiltonian.geometry='{atoms}'"]).name

    assert name == "vqe_molecule_geometry=H-0-0-0-H-0-0-1.58-H-0-0-3.16-H-0-0-4.74-H-0-0-6.32-H-0-0"
    assert len(declare([f"hamiltonian.path={'y' * 100}", "hamiltonian=file"]).name) == 80


@pytest.mark.parametrize(
    ("typed", "said"),
    [("seeds=1,2,3", "seeds: unknown key; did you mean 'seed'"), ("seed=1,2", "seed: several values")],
)
def test_several_values_of_a_key_that_there_is_not(typed: str, said: str) -> None:
    """The key is told first: no -m helps it."""
    with pytest.raises(ConfigError, match=said):
        declare([typed])

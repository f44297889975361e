"""What of Hydra works here: every flag and key that Hydra has is honoured, or refused with the reason."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from omegaconf import OmegaConf

from runner.__main__ import main
from runner.cli.line import verbs
from runner.declare import registry
from runner.declare.checks import shorten
from runner.declare.hydra_support import FLAGS, KEYS, Feature, feature, table
from runner.sweep.launcher import LAUNCHERS
from runner.sweep.optuna import SWEEPERS

ROOT = Path(__file__).parents[1]
HYDRAS = Path(hydra.__file__).parent / "conf" / "hydra"
QUIET = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=3", "estimator.default_shots=10")
GLOBAL = "# @package _global_\n"
LAUNCHER = """
from dataclasses import dataclass
from hydra.core.config_store import ConfigStore
from hydra.plugins.{kind} import {base}

@dataclass
class Config:
    _target_: str = "hydra_plugins.{module}.Mine"
    params: dict | None = None

class Mine({base}):
    def setup(self, **everything): pass
    def launch(self, *everything): pass
    def sweep(self, *everything): pass

ConfigStore.instance().store(group="hydra/{kind}", name="mine", node=Config, provider="mine")
"""
"""A plug-in as Hydra's documentation shows how to write one."""


def keys_of_hydra() -> Iterator[str]:
    """Every key below `hydra`, read off Hydra's own dataclass."""

    def below(node: Any, prefix: str) -> Iterator[str]:
        for name in node:
            child = None if OmegaConf.is_missing(node, name) else node[name]
            if OmegaConf.is_dict(child) and len(child):
                yield from below(child, f"{prefix}.{name}")
            else:
                yield f"{prefix}.{name}"

    yield from (key for key in below(OmegaConf.structured(HydraConf), "hydra") if key != "hydra.defaults")


def groups_of_hydra() -> Iterator[str]:
    """Hydra's config groups: those of its own files, and those that plug-ins fill."""
    yield from (f"hydra/{path.name}" for path in HYDRAS.iterdir() if path.is_dir())
    yield from (f"hydra/{name}" for entry in HydraConf().defaults for name in entry)


NAMES = sorted({*keys_of_hydra(), *groups_of_hydra()})


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a command line is refused with."""
    assert main(arguments) == 2, arguments
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_every_flag_of_hydra_is_in_the_list_and_does_what_it_says(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read off Hydra's own parser: what works is a flag of ours with the same spellings, the rest is refused."""
    ours = {flag.name: flag for flag in verbs()["run"].flags}
    listed = {name: item for item in FLAGS for name in item.names}
    spelled = [action.option_strings for action in get_args_parser()._actions if action.option_strings]
    assert len(spelled) == len(FLAGS) >= 14
    for option in spelled:
        items = {id(listed[name]): listed[name] for name in option}
        assert len(items) == 1
        (item,) = items.values()
        for name in option:
            if not item.works:
                assert f"{name}: is not honoured: {item.why}" in refused([name, "x"], capsys)
            elif "--help" not in option:
                assert any(name in (flag.name, flag.short) for flag in ours.values())
    assert list(workdir.iterdir()) == []


def test_every_key_of_hydra_is_in_the_list() -> None:
    """Read off Hydra's own configuration; and the list names nothing that Hydra does not have."""
    assert len(NAMES) > 40
    found = {name: feature(name) for name in NAMES}

    assert [name for name, item in found.items() if item is None] == []
    assert {id(item) for item in found.values()} == {id(item) for item in KEYS}


@pytest.mark.parametrize("name", [name for name in NAMES if not (feature(name) or KEYS[0]).works])
def test_a_key_that_is_not_honoured_is_refused_wherever_it_stands(
    name: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line of a run, a sweep and a forecast, added or set, and in a file of one's own."""
    item = feature(name)
    assert isinstance(item, Feature)
    told = f"{name}: {shorten(item.refusal(), 60)[:-1]}"
    for words in (
        [f"{name}=x"],
        [f"+{name}=x"],
        [f"++{name}=x"],
        ["-m", "seed=1,2", f"{name}=x"],
        ["forecast", f"{name}=x"],
    ):
        assert told in refused(words, capsys)
    folder = workdir / "mine" / "experiment"
    folder.mkdir(parents=True)
    nested = name.split("." if "." in name else "/")
    if "." in name:
        text = GLOBAL + ": {".join(nested) + ": x" + "}" * (len(nested) - 1) + "\n"
    else:
        text = f"{GLOBAL}defaults:\n  - override /{name}: x\n"
    (folder / "some.yaml").write_text(text)
    line = refused(["--config-dir", "mine", "experiment=some"], capsys)
    assert "some.yaml" in line
    assert told in line or "opens further sources" in line
    assert [path.name for path in workdir.iterdir()] == ["mine"]


def test_what_is_so_anyway_may_be_written(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hydra.job.chdir=false` and its like stand in many people's scripts and files."""
    words = [
        f"{item.what}={yaml.safe_dump(item.usual[0]).split()[0]}"
        for item in KEYS
        if item.usual and not item.works
    ]
    assert {"hydra.job.chdir=false", "hydra.output_subdir=null", "hydra/job_logging=disabled"} <= set(words)
    printed = ["-c", "job", "-p", "seed"]

    assert main([*words, *printed]) == 0
    assert main(["-m", *words, "seed=1,2", *printed]) == 0
    assert "seed: 2" in capsys.readouterr().out
    folder = workdir / "mine" / "experiment"
    folder.mkdir(parents=True)
    preset = "defaults: [/schema/experiment/vqe@experiment]\nexperiment: {name: some}\n"
    (folder / "some.yaml").write_text(
        f"{GLOBAL}{preset}hydra: {{job: {{chdir: false}}, output_subdir: null}}\n"
    )
    assert main(["-cd", "mine", "experiment=some", *printed]) == 0


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("hydra/job_logging/mine.yaml", "version: 1\n", "only launcher and sweeper"),
        ("hydra/mine.yaml", "verbose: true\n", "only launcher and sweeper"),
        ("experiment/mine.yaml", "# @package hydra.job\nchdir: true\n", "package hydra.job is not honoured"),
        ("experiment/mine.yaml", f"{GLOBAL}defaults: [/backend@hydra.job: ideal]\n", "stand below `hydra:`"),
        ("experiment/mine.yaml", f"{GLOBAL}defaults: [/hydra/callbacks/log]\n", "a callback names"),
        ("experiment/mine.yaml", f"{GLOBAL}defaults:\n  - optional override hydra/env: x\n", "environments"),
    ],
)
def test_there_is_no_other_way_into_hydras_settings(
    file: str, text: str, told: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file can reach them by its folder, its package and its defaults list too."""
    path = workdir / "mine" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)

    line = refused(["--config-dir", "mine", "seed=2"], capsys)
    assert path.name in line
    assert told in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["hydra/launcher=joblib"], "hydra/launcher: only a sweep has one; add -m"),
        (["hydra/launcher=submitit_slurm", "hydra.launcher.partition=cpu"], "only a sweep has one"),
        (["hydra/sweeper=optuna"], "hydra/sweeper: only a sweep has one"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir: only a sweep has one"),
        (["forecast", "hydra/launcher=joblib"], "hydra/launcher: only a sweep has one"),
        (["-m", "seed=1,2", "hydra.run.dir=x"], "hydra.run.dir: only a run has one; take hydra.sweep.dir"),
        (["hydra.job={}"], "hydra.job: is no key of Hydra's own"),
        (["+hydra.nope=1"], "hydra.nope: is no key of Hydra's own"),
        (["hydra.modus=RUN"], "hydra.modus: is no key of Hydra's own"),
    ],
)
def test_what_would_mean_nothing_is_refused(
    arguments: list[str], told: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A launcher without a sweep, a run's directory in a sweep, and keys that there are not."""
    assert told in refused(arguments, capsys)
    assert list(workdir.iterdir()) == []


def test_plugins_of_hydras_are_refused_and_nothing_starts(tmp_path: Path) -> None:
    """Hydra finds and lists them; passed over, the sweep would run on this machine instead of the cluster."""
    (tmp_path / "there" / "hydra_plugins").mkdir(parents=True)
    for kind, base in (("launcher", "Launcher"), ("sweeper", "Sweeper")):
        file = tmp_path / "there" / "hydra_plugins" / f"my_{kind}.py"
        file.write_text(LAUNCHER.format(module=f"my_{kind}", kind=kind, base=base))
    (tmp_path / "here").mkdir()
    path = os.pathsep.join((str(tmp_path / "there"), str(ROOT)))
    program = (
        "from runner.__main__ import main\n"
        "print(*(main(['-m', f'hydra/{kind}=mine', 'seed=1,2', 'tracking=off']) for kind in ('launcher', 'sweeper')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "here", env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout == "2 2\n"
    for kind, line in zip(("launcher", "sweeper"), done.stderr.splitlines(), strict=True):
        plugin = f"hydra_plugins.my_{kind}.Mine"
        assert line.startswith(f"error: hydra/{kind}: 'mine' ({plugin}) is a plug-in of Hydra's")
        assert "docs/hydra.md" in line
    assert list((tmp_path / "here").iterdir()) == []


def test_an_installed_plugin_of_hydras_does_not_get_into_the_way_of_ours(tmp_path: Path) -> None:
    """With hydra-joblib-launcher installed, `hydra/launcher=joblib` is ours all the same, and theirs is there again."""
    (tmp_path / "hydra_plugins").mkdir()
    theirs = LAUNCHER.format(module="mine", kind="launcher", base="Launcher").replace(
        '"mine", node', '"joblib", node'
    )
    (tmp_path / "hydra_plugins" / "mine.py").write_text(theirs)
    program = (
        "from runner.__main__ import main\nfrom hydra.core.config_store import ConfigStore\n"
        "main('-m hydra/launcher=joblib seed=1,2 --cfg hydra -p hydra.launcher'.split())\n"
        "print(ConfigStore.instance().repo['hydra']['launcher']['joblib.yaml'].node)\n"
    )
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == ""
    assert "pre_dispatch: 2*n_jobs\n" in done.stdout
    assert "{'_target_': 'hydra_plugins.mine.Mine'" in done.stdout


def test_a_plugin_that_is_not_installed_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of Hydra's documentation: ours are listed, and the page that says how to add one is named."""
    for word in ("hydra/sweeper=ax", "hydra/sweeper=nevergrad", "hydra/launcher=rq"):
        line = refused(["-m", word, "seed=1,2"], capsys)
        assert "not found (available: basic, " in line
        assert "Hydra's plug-ins are not used, docs/hydra.md shows how to add one" in line


def test_the_documentation_has_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/hydra.md and `--hydra-help` are the list of the code."""
    page = (ROOT / "docs" / "hydra.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert rows == list(table())

    assert main(["--hydra-help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for item in (*FLAGS, *KEYS):
        assert f"{item.what}: {item.why}" in text


def table_of(folder: str) -> list[dict[str, str]]:
    """The rows of a sweep's table."""
    return list(csv.DictReader(Path(folder, "sweep.csv").read_text().splitlines()))


@pytest.fixture
def own_modules(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of docs/hydra.md under their names, forgotten afterwards."""
    page = (ROOT / "docs" / "hydra.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, flags=re.DOTALL):
        (workdir / name).write_text(text)
    monkeypatch.syspath_prepend(str(workdir))
    before = [(known, dict(known)) for known in (LAUNCHERS, SWEEPERS, registry._engines)]
    yield
    for known, content in before:
        known.clear()
        known.update(content)
    for name in ("pool", "evolution", "wrong"):
        sys.modules.pop(name, None)


def test_a_launcher_of_ones_own_carries_out_a_sweep_and_its_resume(
    workdir: Path, own_modules: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example of docs/hydra.md: in processes of its own, recorded, and asked for again by `resume`."""
    words = [*QUIET, "plugins=[pool]", "hydra/launcher=pool", "hydra.launcher.workers=1", "hydra.sweep.dir=s"]
    assert main(["-m", *words, "seed=1,2"]) == 0
    assert json.loads(Path("s/sweep.json").read_text())["launcher"] == {
        "name": "pool",
        "values": {"workers": 1},
    }
    assert [row["status"] for row in table_of("s")] == ["finished"] * 2
    shutil.rmtree("s/1")
    capsys.readouterr()

    assert main(["resume", "s", "plugins=[pool]"]) == 2
    assert "hydra.launcher.workers: counts only from the command line" in capsys.readouterr().err
    assert main(["resume", "s", "plugins=[pool]", "hydra/launcher=basic"]) == 0
    assert [row["status"] for row in table_of("s")] == ["finished"] * 2
    LAUNCHERS.pop("pool")
    assert main(["resume", "s"]) == 2
    assert "hydra/launcher: 'pool' is not here; add the plugins=[…] that has it" in capsys.readouterr().err


def test_a_sweeper_of_ones_own_chooses_the_trials(workdir: Path, own_modules: None) -> None:
    """The other example: a subclass with a sampler and a setting of its own."""
    words = [*QUIET, "plugins=[evolution]", "hydra/sweeper=evolution", "hydra.sweeper.storage=null"]
    assert (
        main(
            [
                "-m",
                *words,
                "hydra.sweeper.n_trials=2",
                "ansatz.reps=1,2",
                "seed=range(0,1000)",
                "hydra.sweep.dir=s",
            ]
        )
        == 0
    )

    recorded = json.loads(Path("s/sweep.json").read_text())["sweeper"]
    assert (recorded["name"], recorded["values"]["population"]) == ("evolution", 20)
    assert [row["status"] for row in table_of("s")] == ["finished"] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SCHEMAS = {'launcher': {'x': int}}", "launcher 'x' of 'wrong' must be a dataclass derived from"),
        ("SCHEMAS = {'sweeper': {'x': int}}", "sweeper 'x' of 'wrong' must be a dataclass derived from"),
        ("SCHEMAS = {'hydra': {'x': int}}", "'wrong' adds to 'hydra', which is no config group"),
    ],
)
def test_a_plugin_that_cannot_launch_is_refused(
    text: str, told: str, workdir: Path, own_modules: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told when it is loaded, before anything is composed."""
    (workdir / "wrong.py").write_text(text)
    importlib.invalidate_caches()
    sys.modules.pop("wrong", None)

    assert told in refused(["plugins=[wrong]", "-m", "seed=1,2"], capsys)


def test_launchers_and_sweepers_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help hydra/launcher` and `--help hydra/sweeper` list every one with its settings."""
    for group, known in (("launcher", LAUNCHERS), ("sweeper", SWEEPERS)):
        assert main(["--help", f"hydra/{group}"]) == 0
        text = capsys.readouterr().out
        for name, cls in known.items():
            assert f"\n  {name} " in text
            assert all(f"hydra.{group}.{item.name}=" in text for item in fields(cls))


def test_a_file_called_like_hydras_own_launcher_is_refused_in_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra by itself would warn about its name first, in four lines."""
    file = workdir / "more" / "hydra" / "launcher" / "basic.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("foo: 1\n")

    assert main(["-m", "--config-dir", "more", "seed=1,2", "tracking=off"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1

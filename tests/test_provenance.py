"""What can run code counts from the command line alone, however a YAML file or a received directory puts it."""

from __future__ import annotations

import json
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import compose, resume, run
from runner.__main__ import main
from runner.declare.provenance import mention_unused
from runner.errors import ConfigError
from runner.sweep.compose import SweepPlanner
from runner.sweep.launcher import SlurmLauncher

QUIET = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=3")


def plant(folder: Path, name: str) -> Path:
    """A module that leaves a mark when it is imported, and would be a fine plug-in."""
    mark = folder / f"{name}.mark"
    text = f"open({str(mark)!r}, 'w').close()\nSCHEMAS = {{}}\n"
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return mark


@pytest.fixture
def trojan(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[str, Path]:
    """A plug-in on Python's path, and what tells that it was imported."""
    name = f"trojan_{abs(hash(request.node.name))}"
    monkeypatch.syspath_prepend(str(workdir))
    yield name, plant(workdir, name)
    sys.modules.pop(name, None)


def write(path: str, text: str) -> None:
    """A file with the folders it lies in."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


GLOBAL = "# @package _global_\n"
RAY = "defaults:\n  - /schema/launcher/ray@_here_\n  - _self_\nray: {init: {runtime_env: {pip: [x]}}, remote: {}}\n"
PRESET = (
    GLOBAL
    + "defaults:\n  - override /hydra/launcher: submitit_slurm\nhydra: {launcher: {setup: [touch mark]}}\n"
)
LAUNCHER, MINE = "hydra/launcher/mine.yaml", "experiment/mine.yaml"
SLURM = "defaults:\n  - /schema/launcher/submitit_slurm@_here_\n  - _self_\n"


@pytest.mark.parametrize(
    ("file", "text", "words", "message"),
    [
        (MINE, GLOBAL + "plugins: [json]\n", ["experiment=mine"], "'plugins' counts only"),
        (MINE, GLOBAL + "hydra: {run: {dir: x}}\n", ["experiment=mine"], "'hydra.run.dir' counts"),
        (
            MINE, GLOBAL + "hydra: {run: {dir: 'x/${oc.env:HOME}'}}\n",
            ["experiment=mine"], "'hydra.run.dir' counts only",
        ),
        (MINE, GLOBAL + "hydra: {searchpath: ['pkg://json']}\n", ["experiment=mine"], "opens further"),
        ("config.yaml", "hydra: {searchpath: ['pkg://json']}\n", [], "holds config.yaml"),
        ("schema/run.yaml", "seed: 1\n", [], "holds schema"),
        (LAUNCHER, SLURM + "setup: [touch mark]\n", ["hydra/launcher=mine", "-m"], "setup: counts only"),
        (
            LAUNCHER, SLURM + "additional_parameters: {wrap: touch mark}\n",
            ["hydra/launcher=mine", "-m"], "additional_parameters: counts only",
        ),
        (LAUNCHER, SLURM + "submitit_folder: /tmp/elsewhere\n", ["hydra/launcher=mine", "-m"], "submitit_folder: c"),
        (LAUNCHER, SLURM + "partition: '${oc.env:HOME}'\n", ["hydra/launcher=mine", "-m"], "resolver 'oc.env' is"),
        (
            LAUNCHER,
            RAY,
            ["hydra/launcher=mine", "-m"], "ray: counts only",
        ),
        (
            MINE,
            PRESET,
            ["experiment=mine", "-m"], "hydra.launcher.setup: counts only",
        ),
        (
            MINE,
            PRESET,
            ["experiment=mine"], "hydra.launcher.setup: counts only",
        ),
    ],
)  # fmt: skip
def test_K3_a_folder_of_somebody_elses_runs_nothing(
    workdir: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, words: list[str], message: str
) -> None:
    """--config-dir with plug-ins, shell lines, Ray's settings, sources or directories: one line, nothing created."""
    write(f"mine/{file}", text)
    done = main(["--config-dir", "mine", *words, *(["seed=1,2"] if "-m" in words else [])])
    said = capsys.readouterr().err

    assert done == 2
    assert message in said
    assert said.count("\n") == 1
    assert [path.name for path in workdir.iterdir()] == ["mine"]


def test_K3_links_in_the_folder_are_looked_behind(workdir: Path) -> None:
    """What Hydra would find behind a link is checked like the rest."""
    write("elsewhere/mine.yaml", GLOBAL + "plugins: [json]\n")
    Path("mine").mkdir()
    Path("mine/experiment").symlink_to(workdir / "elsewhere")

    assert main(["--config-dir", "mine", "experiment=mine"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["hydra/launcher=submitit_slurm", "hydra.launcher.setup=[module load x]"],
        ["hydra/launcher=submitit_slurm", "+hydra.launcher.additional_parameters.mail-type=END"],
        [
            "hydra/launcher=ray",
            "+hydra.launcher.ray.init.address=auto",
            "+hydra.launcher.ray.remote.num_cpus=1",
        ],
        ["hydra/launcher=submitit_slurm", "hydra.launcher.partition='${oc.env:HOME}'"],
    ],
)
def test_the_command_line_may(words: list[str]) -> None:
    """The same settings, typed."""
    assert SweepPlanner([*words, "seed=1,2"]).settings().launcher is not None


@pytest.mark.parametrize("sweeper", ["", "  - override /hydra/sweeper: optuna\n"])
@pytest.mark.parametrize(
    ("key", "value"), [("plugins", "[json]"), ("+plugins", "[json]"), ("hydra.run.dir", "x")]
)
def test_K3_a_preset_of_a_sweep_types_nothing(
    workdir: Path, capsys: pytest.CaptureFixture[str], sweeper: str, key: str, value: str
) -> None:
    """hydra.sweeper.params become overrides of every run: not those that only the command line may give."""
    head = f"{GLOBAL}defaults:\n  - /schema/experiment/vqe@experiment\n{sweeper}  - _self_\nexperiment: {{name: a}}\n"
    params = f"{{{key}: '{value}', seed: 'range(1,3)'}}"
    text = f"{head}hydra: {{mode: MULTIRUN, sweeper: {{params: {params}}}}}\n"
    write("mine/experiment/mine.yaml", text)

    assert main(["--config-dir", "mine", *QUIET, "experiment=mine"]) == 2
    assert f"{key.lstrip('+')}: counts only from the command line" in capsys.readouterr().err
    assert [path.name for path in workdir.iterdir()] == ["mine"]


def test_K3_nothing_of_a_launcher_becomes_a_second_line_of_a_script() -> None:
    """A line break in a SLURM setting would end the comment it stands in."""
    for name in ("partition", "comment", "name"):
        with pytest.raises(ConfigError, match=f"hydra.launcher.{name}: must be one line"):
            SlurmLauncher(**{name: "cpu\ntouch mark"})


def test_typed_settings_do_not_let_others_in(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One key of ray.init typed, another from the folder: they would be merged, so it is refused."""
    write("mine/hydra/launcher/mine.yaml", RAY)
    words = ["hydra/launcher=mine", "+hydra.launcher.ray.init.address=auto", "seed=1,2"]

    assert main(["--config-dir", "mine", "-m", *words]) == 2
    assert "hydra.launcher.ray: counts only" in capsys.readouterr().err


def received(trojan: str, folder: str = "received") -> Path:
    """A run directory that says it used a plug-in; its checksums are right."""
    path = run(compose(*QUIET, f"plugins=[{trojan}]"), directory=folder).directory
    sys.modules.pop(trojan, None)
    return path


def test_K4_a_received_run_imports_nothing(
    trojan: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """resume, retime, export and a fork of a run with plug-ins name them and stop; typed again they go on."""
    name, mark = trojan
    path = received(name)
    journal = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    shutil.copytree(path, "broken")
    Path("broken/journal.jsonl").write_bytes(b"".join(journal[:8]))
    commands = (
        ["resume", "broken"],
        ["retime", "received", "session=batch"],
        ["export", "received", "--format=qasm3"],
    )
    mark.unlink()
    for command in (*commands, ["resume", "--fork", "received"]):
        assert main(command) == 2, command
        said = capsys.readouterr().err
        assert said.startswith(f"error: plugins: {name} was used")
        assert f"plugins=[{name}]" in said
    assert not mark.exists()

    for command in commands:
        assert main([*command, f"plugins=[{name}]"]) == 0, command
        sys.modules.pop(name, None)
    assert mark.exists()
    assert json.loads(Path("broken/result.json").read_text())["status"] == "finished"


def test_a_plugin_that_was_not_used_is_not_ignored(workdir: Path) -> None:
    """`plugins=` on a run without any is refused: it would do nothing."""
    path = run(compose(*QUIET), directory="plain").directory
    (path / "journal.jsonl").write_bytes(b"".join((path / "journal.jsonl").read_bytes().splitlines(True)[:6]))

    with pytest.raises(ConfigError, match="plugins: json was not used"):
        resume(path, overrides=["plugins=[json]"])


def test_K4_a_received_sweep_imports_nothing_and_reaches_no_shell(
    trojan: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Plug-ins of its runs and shell lines of its launcher have to be typed again."""
    name, mark = trojan
    words = [*QUIET, f"plugins=[{name}]", "seed=1,2", "hydra.sweep.dir=sweep"]
    assert main(["-m", *words]) == 0
    shutil.rmtree("sweep/1")
    sys.modules.pop(name, None)
    mark.unlink()
    capsys.readouterr()

    assert main(["resume", "sweep"]) == 2
    assert capsys.readouterr().err.startswith(f"error: plugins: {name} was used")
    assert not mark.exists()
    assert main(["resume", "sweep", f"plugins=[{name}]"]) == 0

    header: dict[str, Any] = json.loads(Path("sweep/sweep.json").read_text())
    header["launcher"] = {"name": "submitit_slurm", "values": {"setup": ["touch mark"]}}
    Path("sweep/sweep.json").write_text(json.dumps(header))
    assert main(["resume", "sweep", f"plugins=[{name}]"]) == 2
    assert "hydra.launcher.setup: counts only from the command line" in capsys.readouterr().err


NOT_TYPED = "hydra.sweeper.storage: counts only from the command line"

CRAFTED_SEARCHES: list[tuple[dict[str, Any] | None, str]] = [
    ({"storage": "sqlite:///theirs.db"}, "type hydra.sweeper.storage=sqlite:///theirs.db"),
    ({"storage": "sqlite:///../theirs.db"}, NOT_TYPED),
    ({"storage": "theirs+driver://host/study"}, NOT_TYPED),
    ({"storage": ["sqlite:///theirs.db"]}, NOT_TYPED),
    (None, NOT_TYPED),
    ({"sampler": "os.system"}, "unknown choice 'os.system'"),
    ({"_target_": "os.system"}, "is damaged (sweeper)"),
]
"""What a received sweep.json may say of its sweeper, none: in its command line; and what is said to that."""


def test_K4_a_received_search_writes_its_study_where_it_is_typed(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database that sweep.json names in any way is not touched by resume, nor does it run code; a typed one is."""
    words = [
        *QUIET,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "ansatz.reps=range(1,3)",
        "hydra.sweep.dir=sweep",
    ]
    assert main(["-m", *words, "hydra.sweeper.storage=null"]) == 0
    whole = Path("sweep/sweep.json").read_text()
    Path("sweep/sweep.csv").unlink()
    before = {path for path in workdir.rglob("*") if not path.is_relative_to(workdir / "sweep")}
    capsys.readouterr()
    for values, why in CRAFTED_SEARCHES:
        header: dict[str, Any] = json.loads(whole)
        header["sweeper"]["values"] = values and {**header["sweeper"]["values"], **values}
        if not values:
            header["overrides"].append("hydra.sweeper.storage=sqlite:///theirs.db")
        Path("sweep/sweep.json").write_text(json.dumps(header))

        assert main(["resume", "sweep"]) == 2, values
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert why in said
        assert said.count("\n") == 1
    assert {path for path in workdir.rglob("*") if not path.is_relative_to(workdir / "sweep")} == before
    assert not (workdir.parent / "theirs.db").exists()

    Path("sweep/sweep.json").write_text(whole)
    assert main(["resume", "sweep", "hydra.sweeper.storage=sqlite:///mine.db"]) == 0
    assert Path("mine.db").exists()


@pytest.mark.parametrize("names", ["[../x]", "['']", "[.x]", "[/tmp/x]", "['a b']"])
def test_what_is_no_module_is_told_in_one_line(names: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Paths and nothing at all: in words, exit code 2."""
    assert main([f"plugins={names}"]) == 2
    said = capsys.readouterr().err
    assert "is no module; name it as Python does" in said
    assert said.count("\n") == 1


def test_a_module_that_breaks_on_import_is_told_in_one_line(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own mistake, in words."""
    monkeypatch.syspath_prepend(str(workdir))
    Path("broken_on_import.py").write_text("1 / 0\n")

    with pytest.raises(
        ConfigError, match=r"plugins: module 'broken_on_import' cannot be imported .ZeroDivisionError"
    ):
        compose("plugins=[broken_on_import]")


def test_K5_a_run_directory_holds_text_that_any_parser_reads(workdir: Path) -> None:
    """Journal, result and session are JSON, config.yaml is YAML for a safe loader."""
    path = run(compose(*QUIET), directory="plain").directory

    assert all(json.loads(line) for line in (path / "journal.jsonl").read_text().splitlines())
    assert json.loads((path / "result.json").read_text())["status"] == "finished"
    assert json.loads((path / "session.json").read_text())["mode"] == "session"
    assert yaml.safe_load((path / "config.yaml").read_text())["seed"] == 1


def test_K12_a_relative_directory_stays_below_the_current_folder(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dots that climb out are refused, before anything is created."""
    assert main([*QUIET, "hydra.run.dir=a/../../x"]) == 2
    assert "leaves the current folder" in capsys.readouterr().err
    assert not (workdir.parent / "x").exists()


def test_every_promise_has_a_test() -> None:
    """The numbers of SECURITY.md are those that tests carry in their names or docstrings."""
    root = Path(__file__).parents[1]
    promised = set(re.findall(r"\*\*K(\d+)\*\*", (root / "SECURITY.md").read_text(encoding="utf-8")))
    tests = "".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("test_*.py"))
    held = set(re.findall(r"def test_K(\d+)_", tests))
    for told in re.findall(r"\"\"\"(K\d+(?:, K\d+)*): ", tests):
        held |= set(re.findall(r"\d+", told))

    assert promised == held
    assert sorted(map(int, promised)) == list(range(1, len(promised) + 1))


HEAD = f"{GLOBAL}defaults:\n  - /schema/experiment/vqe@experiment\n  - _self_\nexperiment: {{name: vqe}}\n"
SWEPT = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      "


def refused(text: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of an experiment file of somebody else's; one line, nothing created."""
    write("theirs/experiment/mine.yaml", text)
    assert main(["--config-dir", "theirs", *QUIET, *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert [path.name for path in Path.cwd().iterdir()] == ["theirs"]
    return said


@pytest.mark.parametrize(
    "text",
    [
        SWEPT + 'name: "x${oc.env:HOME},b"\n',
        SWEPT + 'hamiltonian: "${oc.env:HOME},h2"\n',
        SWEPT + "seed: ${oc.env:NOSUCH}\n",
        SWEPT + "seed: \"${oc.decode:'[1,'}\"\n",
        SWEPT + 'name: "${o${seed}c.env:HOME},b"\n',
        "hydra: {mode: MULTIRUN, sweeper: {params: '${oc.create:{seed:\"1,2\"}}'}}\n",
        "hydra: {mode: '${oc.env:HOME}'}\n",
        "name: ${seed${seed}}\n",
    ],
)
def test_K1_resolvers_of_a_file_work_nowhere(
    workdir: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Neither in what is swept nor in Hydra's own settings, however they are written."""
    assert re.search("is not allowed|names no key", refused(HEAD + text, capsys, "experiment=mine"))


@pytest.mark.parametrize(
    "text",
    [
        "tracking: {uri: 'sqlite:////tmp/other.db'}\n",
        "tracking: {artifacts: /tmp/other}\n",
        "hydra: {sweeper: {storage: 'sqlite:////tmp/other.db'}}\n",
        SWEPT + "tracking.uri: sqlite:////tmp/other.db\n",
        SWEPT + "tracking: '{uri: sqlite:////tmp/other.db}'\n      seed: 1,2\n",
        "hydra: {sweeper: {params: {x: &a {dir: other}}}, run: *a}\n",
        "<<: {tracking: {artifacts: /tmp/other}}\n",
    ],
)
def test_K3_places_that_are_written_to_count_from_the_command_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """A store, its folder, a study's database; also behind an alias or as a value to sweep over."""
    said = refused(HEAD + text, capsys, "experiment=mine")
    assert "counts only from the command line" in said
    assert "type " in said


@pytest.mark.parametrize(
    "text",
    [
        "? [a, b]\n: 1\n", "? {a: b}\n: 1\n", "1: 2\n", "<<: 5\n", f"seed: {'1' * 5000}\n", "seed: 0x" + "f" * 20000,
        "seed: !!timestamp 2026-02-30\n", "seed: 1:1:1\n", "seed: 017\n", "a: " + "{a: " * 400 + "}" * 400 + "\n",
        "\ufeffseed: 1\n", "a: " + "[" * 5000 + "]" * 5000 + "\n",
    ],
    ids=range(12),
)  # fmt: skip
def test_K18_yaml_that_cannot_be_meant_is_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Keys and numbers that are none, nesting, a byte order mark: also where a run names no file of the folder."""
    assert "theirs/experiment/mine.yaml" in refused(text, capsys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SWEPT + "name: glob(q*)\n", "has no values"),
        (SWEPT + "hamiltonian: glob(nosuch*)\n", "has no values"),
        (SWEPT + "seed: range(5,1)\n", "has no values"),
        (SWEPT + "seed: range(0,1,0)\n", "has no values"),
        ("seed: 9999-99-99\n", "expected an integer, got '9999-99-99'"),
        ("seed: 0xffffffffffffffffff\n", "must be at most"),
    ],
)
def test_K18_values_of_a_file_that_make_no_run_are_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    """Nothing to sweep over, and what is no seed."""
    assert words in refused(HEAD + text, capsys, "experiment=mine")


def test_K18_an_experiment_that_is_its_own_default_is_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra goes round until Python's stack is full."""
    said = refused(f"{GLOBAL}defaults: [/experiment: mine, _self_]\n", capsys, "experiment=mine")
    assert "lead back to itself" in said


def test_what_an_experiment_file_sets_counts_unless_typed(workdir: Path) -> None:
    """Each key of the configuration itself that a file may set, against the value written there."""
    write("mine/experiment/mine.yaml", f"{HEAD}seed: 7\nname: ours\nrun: {{figures: false}}\n")
    found = compose("experiment=mine", config_dirs=["mine"])
    typed = compose("experiment=mine", "seed=3", config_dirs=["mine"])

    assert (found.seed, found.name, found.run.figures) == (7, "ours", False)
    assert typed.seed == 3


@pytest.mark.parametrize("place", ['"a\nb"', "~/x"])
@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_K12_a_directory_is_a_path_of_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], key: str, place: str
) -> None:
    """A line break in a name, and a ~ that the shell did not replace."""
    more = ["-m", "seed=1,2"] if "sweep" in key else []
    assert main([*QUIET, *more, f"{key}={place}"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {key}: ")
    assert list(workdir.iterdir()) == []


def test_K4_plugins_written_into_a_config_afterwards_are_mentioned(tmp_path: Path) -> None:
    """What the journal names is no news; what it does not name is one line; a damaged file is for others to refuse."""
    config = tmp_path / "config.yaml"
    config.write_text("plugins: [good, evil]\n")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mention_unused(config, ["good"])
        mention_unused(config, ["good", "evil"])
        config.write_text("plugins: [")
        mention_unused(config, None)

    (line,) = told
    assert str(line.message).endswith("names evil, which the run did not use; nothing of it is imported")

"""Choices added from outside the repository, through an entry point or a named module, as an installed package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from runner import compose
from runner.__main__ import main
from runner.declare import registry
from runner.errors import ConfigError

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "plugin"
CHOICES = ("hamiltonian=ring", "ansatz=brick", "optimizer=random_search")


def wheel(folder: Path) -> Path:
    """What a build backend makes of the example's pyproject.toml, made here because there may be no backend."""
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    project = declared["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in project["entry-points"].items()
    )
    content = {
        f"{module}.py": (EXAMPLE / f"{module}.py").read_text(encoding="utf-8")
        for module in declared["tool"]["setuptools"]["py-modules"]
    } | {
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-{version}.dist-info/entry_points.txt": points,
    }
    content[f"{name}-{version}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in content)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in content.items():
            archive.writestr(member, text)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed by pip into a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--disable-pip-version-check", "--target", str(target), str(wheel(tmp_path_factory.mktemp("wheel"))),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def python(*arguments: str, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees the installed plug-in."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(path), str(ROOT)))}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.mark.nightly
def test_what_an_installed_package_adds_is_like_anything_else(installed: Path, tmp_path: Path) -> None:
    """Named on the command line, listed by --help, checked with did-you-mean, resumed after a cut."""
    program = """
import shutil
from pathlib import Path
from runner import compose, resume, run
from runner.__main__ import main

choices = ["hamiltonian=ring", "ansatz=brick", "optimizer=random_search", "optimizer.max_evaluations=9"]
quiet = ("tracking=off", "run.figures=false")
assert main([*quiet, "estimator=exact", *choices]) == 0

whole = run(compose("experiment=landscape", "hamiltonian=ring", "experiment.points=5", *quiet),
            directory="whole")
assert [round(row["distance"], 6) for row in whole.table] == [-3.141593, -1.570796, 0, 1.570796, 3.141593]
shutil.copytree("whole", "broken")
journal = Path("broken/journal.jsonl")
journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))
assert resume("broken").table == whole.table

main(["experiment=landscape", "experiment.pionts=5"])
main(["hamiltonian=rng"])
main(["--help", "optimizer"])
"""
    done = python("-c", program, path=installed, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "vqe: finished" in done.stdout
    assert "error: experiment.pionts: unknown key; did you mean 'points'?" in done.stderr
    assert "error: hamiltonian: 'rng' not found; did you mean 'ring'?" in done.stderr
    assert re.search(r"optimizer\.step=0\.3 +Standard deviation of a step in radians\.", done.stdout)
    assert re.search(r"random_search +Counting, limits", done.stdout)


def test_a_module_can_be_named_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`plugins=[module]`: the same without an entry point, for a folder on the Python path."""
    for path in EXAMPLE.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())

    done = python(
        "-m", "runner", "plugins=[ring_exchange]", *CHOICES, "--cfg", "job", path=tmp_path, cwd=tmp_path
    )
    without = main([*CHOICES, "--cfg", "job"])

    assert done.returncode == 0, done.stderr
    assert "name: ring\n" in done.stdout
    assert without == 2
    assert "hamiltonian: 'ring' not found" in capsys.readouterr().err


def test_a_plugin_that_is_not_there_is_told_in_one_line() -> None:
    """A module that cannot be imported, and one that registers nothing."""
    with pytest.raises(ConfigError, match="plugins: module 'not_there' cannot be imported"):
        compose("plugins=[not_there]")
    with pytest.raises(ConfigError, match="plugins: 'json' has no SCHEMAS dictionary"):
        compose("plugins=[json]")


@pytest.mark.parametrize(
    ("group", "cls", "why"),
    [
        ("optimizer", "Odd", "'odd' to 'optimizer', which is no dataclass that derives from OptimizerConfig"),
        ("backend", "Odd", "'odd' to 'backend', which is no dataclass that derives from BackendConfig"),
        (
            "hamiltonian",
            "int",
            "'odd' to 'hamiltonian', which is no dataclass that derives from HamiltonianConfig",
        ),
        ("session", "'Odd'", "'odd' to 'session', which is no dataclass; see"),
    ],
)
def test_a_plugin_that_a_run_could_ask_nothing_is_refused(
    group: str, cls: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every group has a base, which answers what is asked of its choices; Hamiltonians may do without."""
    head = "from dataclasses import dataclass\n\n\n@dataclass(kw_only=True)\nclass Odd:\n    name: str\n\n\n"
    module = f"odd_{group}"
    (tmp_path / f"{module}.py").write_text(f'{head}SCHEMAS = {{"{group}": {{"odd": {cls}}}}}\n')
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match=f"plugins: '{module}' adds {why}"):
        compose(f"plugins=[{module}]")


def test_every_piece_of_the_example_is_short() -> None:
    """Under 30 lines each: that is what it takes."""
    for path in EXAMPLE.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 30, path.name


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins of a test are no choices of the next."""
    monkeypatch.setattr(
        registry, "_plugins", {group: {**known} for group, known in registry._plugins.items()}
    )


SPINS = """from dataclasses import dataclass

from runner.hamiltonian.declared import HamiltonianConfig


@dataclass(kw_only=True)
class Spins(HamiltonianConfig):
    n: int
    pair: {annotation} = None


SCHEMAS = {{"hamiltonian": {{"{name}": Spins}}}}
"""


def spins(folder: Path, module: str, name: str = "spins", annotation: str = "int | None") -> None:
    """A plug-in whose setting `n` has no default."""
    text = SPINS.format(annotation=annotation, name=name)
    (folder / f"{module}.py").write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("forgotten")
def test_a_field_without_a_default_is_a_mandatory_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where it is chosen, and not where it is given."""
    spins(tmp_path, "spins_of_mine")
    monkeypatch.syspath_prepend(tmp_path)

    assert compose("plugins=[spins_of_mine]", "hamiltonian=tfim").hamiltonian.name == "tfim"
    with pytest.raises(ConfigError, match=r"hamiltonian\.n: mandatory value missing"):
        compose("plugins=[spins_of_mine]", "hamiltonian=spins")
    assert compose("plugins=[spins_of_mine]", "hamiltonian=spins", "hamiltonian.n=3").hamiltonian.n == 3


@pytest.mark.parametrize(
    ("module", "name", "annotation", "why"),
    [
        ("p_complex", "spins", "complex", "but field pair of Spins cannot be a setting"),
        ("p_taken", "tfim", "int | None", "which is a choice already; call it otherwise"),
        ("p_file", "h2", "int | None", "which is a choice already; call it otherwise"),
        ("p_slash", "bad/name", "int | None", r"but a name matches \[a-z0-9_-\]\+; call it otherwise"),
        ("p_capital", "Spins", "int | None", r"but a name matches \[a-z0-9_-\]\+; call it otherwise"),
    ],
)
def test_a_plugin_whose_choice_could_not_be_taken_is_refused(
    module: str, name: str, annotation: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the module, also where another choice is typed."""
    spins(tmp_path, module, name, annotation)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match=f"plugins: '{module}' adds '{name}' to 'hamiltonian', {why}"):
        compose(f"plugins=[{module}]", "hamiltonian=tfim")


@pytest.mark.usefixtures("forgotten")
def test_two_plugins_may_not_add_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two would be meant, nobody could say."""
    spins(tmp_path, "p_first")
    spins(tmp_path, "p_second")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        ConfigError, match="'p_second' adds 'spins' to 'hamiltonian', which 'p_first' adds too"
    ):
        compose("plugins=[p_first,p_second]")


def test_a_launcher_of_ours_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the hydra groups, the plain one too, which has no class."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("joblib", "basic"):
        (tmp_path / f"p_{name}.py").write_text(f"SCHEMAS = {{'launcher': {{'{name}': int}}}}\n")
        with pytest.raises(ConfigError, match=f"adds '{name}' to 'launcher', which is a choice already"):
            compose(f"plugins=[p_{name}]")

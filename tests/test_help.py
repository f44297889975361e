"""`--help WORD` finds what is meant, and names that people know from elsewhere are answered with the word to type."""

import dataclasses
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runner.__main__ import main
from runner.cli import VERBS
from runner.cli.search import help_on
from runner.declare.aliases import ALIASES
from runner.declare.composer import compose
from runner.declare.config import GROUPS, RunConfig
from runner.declare.registry import registered
from runner.errors import ConfigError
from tests.choices import CONF, choices

ROOT = CONF.parent

SPOKEN = {
    "optimizer=SPSA": "optimizer=spsa",
    "optimizer=L-BFGS-B": "optimizer=l_bfgs_b",
    "optimizer=lbfgs": "optimizer=l_bfgs_b",
    "optimizer=BFGS": "optimizer=bfgs",
    "optimizer=COBYLA": "optimizer=cobyla",
    "optimizer=Nelder-Mead": "optimizer=nelder_mead",
    "ansatz=EfficientSU2": "ansatz=efficient_su2",
    "ansatz=TwoLocal": "ansatz=n_local",
    "hamiltonian=H2": "hamiltonian=h2",
    "hamiltonian=vqe": "experiment=vqe",
    "backend=aer_simulator": "backend=ideal",
    "backend=AerSimulator": "backend=ideal",
    "backend=statevector": "backend=ideal estimator=exact",
    "estimator=statevector": "estimator=exact",
    "backend=fake_brisbane": "backend=device backend.device=fake_brisbane",
    "backend=FakeSherbrooke": "backend=device backend.device=fake_sherbrooke",
    "backend=ibm_brisbane": "backend=ibm backend.name=ibm_brisbane or backend=device backend.device=fake_brisbane",
    "shots=100": "estimator.default_shots=…",
    "estimator.shots=100": "estimator.default_shots=…",
    "optimizer.shots=100": "estimator.default_shots=…",
    "maxiter=10": "optimizer.max_evaluations=…",
    "optimizer.maxiter=10": "optimizer.max_evaluations=…",
    "tol=0.1": "optimizer.tolerance=…",
    "layers=2": "ansatz.reps=…",
}
"""What is typed → what has to be, by the names of Qiskit, SciPy and IBM on the left and those of conf/ on the right."""


@pytest.mark.parametrize(("typed", "answer"), SPOKEN.items())
def test_names_from_elsewhere_are_answered_with_the_word_to_type(
    typed: str, answer: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, nothing is run."""
    assert main([typed, "tracking=off"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"; type {re.escape(answer)}(;|$)", line), line
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_known_in_capitals_and_with_dashes(group: str) -> None:
    """The files of conf/ in other letters are answered with their own name."""
    for name in choices(group):
        spelled = name.upper().replace("_", "-")
        if spelled == name:
            continue
        with pytest.raises(ConfigError, match=rf"type {group}={name}$"):
            compose(f"{group}={spelled}")


def test_every_alias_leads_to_something_that_is_there() -> None:
    """What the table tells people to type is a choice of conf/, a key of some schema, a group or a verb."""
    keys = {f"{group}.{field.name}" for group, known in registered().items() for cls in known.values()
            for field in dataclasses.fields(cls)}  # fmt: skip
    keys |= {field.name for field in dataclasses.fields(RunConfig)} | {"hydra.run.dir", "run.figures"}
    for typed in ALIASES:
        for word in typed.split():
            key, _, value = word.partition("=")
            assert value in choices(key) if value and key in GROUPS else key in keys | {*GROUPS, *VERBS}, (
                typed
            )


@pytest.mark.parametrize("key", ["bond_length", "t1", "optimizer.learning_rate", "backend.device"])
def test_a_key_of_another_choice_says_of_which(key: str) -> None:
    """Keys that the defaults have not: the schemas that declare them are named."""
    name = key.rpartition(".")[2]
    owners = [schema for known in registered().values() for schema, cls in known.items()
              if name in {field.name for field in dataclasses.fields(cls)}]  # fmt: skip

    with pytest.raises(ConfigError, match=rf"{name} is a key of {', '.join(owners)}(, as in .*)?$"):
        compose(f"{key}=1")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("shots", ["estimator=shots", "estimator.default_shots=10000", "estimator.default_shots=…"]),
        ("spsa", ["optimizer=spsa", "optimizer.perturbation=0.2"]),
        ("SPSA", ["optimizer=spsa", "optimizer.perturbation=0.2"]),
        ("L-BFGS-B", ["optimizer=l_bfgs_b", "optimizer.maxcor=null"]),
        ("noise", ["backend=noisy", "backend.noise=…", "docs/engine.md"]),
        ("max_time", ["session.max_time=…"]),
        ("MAX_TIME", ["session.max_time=…"]),
        ("bond_length", ["hamiltonian.bond_length=…", "[molecule]", "[hydrogen]"]),
        ("maxiter", ["optimizer.max_evaluations=…", "optimizer.maxiter=…"]),
        ("experiment vqe", ["experiment=vqe\n"]),
        ("optimizer=COBYLA", ["optimizer=cobyla", "optimizer.rhobeg"]),
        ("Optimizer", ["fields of spsa"]),
        ("RETIME", ["python -m runner retime"]),
        ("--fork resume", ["python -m runner resume"]),
        ("figures", ["run.figures=…"]),
        ("circuit", ["--help ansatz"]),
        ("fake_brisbane", ["backend=device backend.device=fake_brisbane"]),
        ("ls", ["  list "]),
        ("price", ["session.price_per_second=…"]),
        ("format", ["export --format"]),
        ("cost", ["forecast", "docs/cost.md"]),
    ],
)
def test_a_word_finds_its_page_or_what_has_to_do_with_it(
    words: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Groups, verbs, choices, keys, flags and headings of docs, each with what to type."""
    assert main(["--help", *words.split()]) == 0

    text = capsys.readouterr().out
    for part in expected:
        assert part in text + "\n"
    assert all(len(line) <= 120 for line in text.splitlines())


def test_no_block_of_help_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Under each line that announces something there is something."""
    for words in ([], *([group] for group in GROUPS)):
        assert main(["--help", *words]) == 0
        lines = [*capsys.readouterr().out.splitlines(), ""]
        for line, following in itertools.pairwise(lines):
            if line.endswith(":"):
                assert len(following) - len(following.lstrip()) > len(line) - len(line.lstrip()), line


@pytest.mark.parametrize(
    ("group", "name"), [("estimator", "shots"), ("optimizer", "cobyla"), ("ansatz", "hva")]
)
def test_the_page_of_a_choice_has_the_values_of_its_file(
    group: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the YAML file sets is shown, and not the schema's default."""
    assert main(["--help", group, name]) == 0

    text = capsys.readouterr().out
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    for key in values.keys() - {"defaults", "name"}:
        shown = {"None": "null", "True": "true", "False": "false"}.get(str(values[key]), values[key])
        assert f"    {group}.{key}={shown} " in text


def test_choices_of_a_plugin_are_listed() -> None:
    """`--help GROUP plugins=[…]`, and the page of such a choice."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "examples/plugin"), str(ROOT)))}
    program = (
        "from runner.__main__ import main\n"
        "for word in ('ansatz', 'brick'): print(main(['--help', word, 'plugins=[ring_exchange]']), '----')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    group, choice, rest = done.stdout.split("0 ----\n")

    assert re.search(r"^  brick +\w", group, flags=re.MULTILINE)
    assert choice.startswith("ansatz=brick\n")
    assert rest == ""


@pytest.mark.parametrize(
    ("word", "typed"),
    [
        ("geometry", ["hamiltonian.geometry=…", "The geometry: atoms and positions"]),
        (
            "budget",
            [
                "optimizer.max_evaluations=…",
                "optimizer.max_shots=…",
                "session.max_cost=…",
                "session.max_usage=…",
            ],
        ),
        ("account", ["forecast backend=ibm", "backend=ibm"]),
    ],
)
def test_what_a_word_is_typed_for_is_found(word: str, typed: list[str]) -> None:
    """A key that two schemas have is told as each means it; what a word is called here comes first."""
    page = " ".join(help_on([word]).split())

    assert all(words in page for words in typed)


@pytest.mark.parametrize(
    ("words", "first", "key"),
    [
        ("joblib", "-m hydra/launcher=joblib", "hydra.launcher.n_jobs=-1"),
        ("submitit_slurm", "-m hydra/launcher=submitit_slurm", "hydra.launcher.partition=null"),
        ("optuna", "-m hydra/sweeper=optuna", "hydra.sweeper.n_trials="),
        ("hydra/launcher=ray", "-m hydra/launcher=ray", "hydra.launcher."),
        ("launcher", "hydra/launcher=… with -m (default: basic)", "hydra.launcher.partition=null"),
        ("sweeper", "hydra/sweeper=… with -m (default: basic)", "hydra.sweeper.n_trials="),
    ],
)
def test_launchers_and_sweepers_have_pages(
    words: str, first: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the names that docs/hydra.md gives them."""
    assert main(["--help", words]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == first
    assert any(line.strip().startswith(key) for line in lines)


@pytest.mark.parametrize("most", [1, pytest.param(None, marks=pytest.mark.nightly)], ids=["one", "all"])
@pytest.mark.parametrize(("typed", "others"), ALIASES.items())
def test_help_on_every_name_from_elsewhere_names_what_to_type(
    typed: str, others: tuple[str, ...], most: int | None
) -> None:
    """Also where that is no key of a group: seed, gradient, or Hydra's own."""
    for other in others[:most]:
        assert typed.partition(" ")[0] in help_on([other])

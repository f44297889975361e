"""A fork takes over what goes with what is typed, and says in one line what does not."""

from __future__ import annotations

import contextlib
import json
import warnings
from dataclasses import fields
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.declare.composer import Composer, compose, declare
from runner.declare.config import Declaration
from runner.declare.registry import registered
from runner.errors import ConfigError, ConfigWarning
from runner.record.events import RunStarted
from runner.record.journal import Journal, read_journal
from runner.record.log import first
from runner.run import execution
from runner.run.fork import fork
from tests.journals import started, told

SMALL = (
    "experiment=vqe", "hamiltonian=tfim", "hamiltonian.shape=[2]", "estimator=exact", "tracking=off",
    "run.figures=false",
)  # fmt: skip
POINT = [0.25, -0.5, 0.75]
EXPERIMENTS = [
    name for name in Composer().options("experiment") if not declare([f"experiment={name}"]).multirun
]
OPTIMIZERS = Composer().options("optimizer")


def recorded(path: Path, declared: Declaration, *, typed: tuple[str, ...] | None = None) -> str:
    """The directory of a run that evaluated one energy, and was killed."""
    path.mkdir(parents=True)
    with Journal.create(path / "journal.jsonl") as journal:
        journal.write(
            started(
                run_id="parent", config=declared.values, schemas=declared.schemas,
                overrides=list(declared.overrides if typed is None else typed),
            )
        )  # fmt: skip
        journal.write(
            told("evaluation", workload="w", index=0, energy=-1.0, stddev=0.0, best=-1.0, parameters=POINT)
        )
    return str(path)


def settings_of(optimizer: str) -> set[str]:
    """What a method has, as the dataclass that is registered for it lists them."""
    schema = declare([f"optimizer={optimizer}"]).schemas["optimizer"]
    return {item.name for item in fields(registered()["optimizer"][schema])}


def typable(optimizer: str) -> dict[str, str]:
    """Every setting of a method with a value that it can have: its own, or 77 evaluations."""
    values = declare([f"optimizer={optimizer}"]).values["optimizer"]
    assert isinstance(values, dict)
    plain = {
        name: json.dumps(value) for name, value in values.items()
        if name != "name" and isinstance(value, bool | int | float | str)
    }  # fmt: skip
    return {**plain, "max_evaluations": "77"}


def forked(path: str, *words: str) -> tuple[Declaration | None, str | None, str]:
    """The fork or the key that it is refused with, and what is said of what was left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConfigWarning)
        try:
            declaration, key = fork(path, words), None
        except ConfigError as error:
            declaration, key = None, error.key
    return declaration, key, " ".join(str(one.message) for one in caught if "--fork" in str(one.message))


@pytest.mark.parametrize(("place", "old"), list(enumerate(OPTIMIZERS)), ids=OPTIMIZERS)
def test_from_every_optimizer_to_another(place: int, old: str, tmp_path: Path) -> None:
    """All settings of the old method were typed: exactly what the new one lacks is told, 77 evaluations stay."""
    new = OPTIMIZERS[(place + 1) % len(OPTIMIZERS)]
    typed = typable(old)
    parent = declare([f"optimizer={old}", *(f"optimizer.{name}={value}" for name, value in typed.items())])
    declaration, key, said = forked(recorded(tmp_path / "a", parent), f"optimizer={new}")

    assert key is None
    assert declaration is not None
    assert (declaration.config.optimizer.name, declaration.config.optimizer.max_evaluations) == (new, 77)
    assert declaration.config.ansatz.initial_values == POINT
    assert {name for name in typed if f"optimizer.{name}=" in said} == set(typed) - settings_of(new)
    assert [word for word in declaration.overrides if word.startswith("optimizer=")] == [f"optimizer={new}"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_to_another_optimizer(experiment: str, tmp_path: Path) -> None:
    """It is forked, or what is typed or --fork itself is named; where `optimizer.sweeps` can be typed it is told."""
    words = [f"experiment={experiment}", "optimizer=nft", "optimizer.sweeps=7"]
    sweeps = True
    try:
        parent = declare(words)
    except ConfigError:  # the experiment has no optimizer, or not this one
        parent, sweeps = declare(words[:1]), False
    declaration, key, said = forked(recorded(tmp_path / "a", parent), "optimizer=spsa")

    if declaration is None:
        assert key in ("--fork", "optimizer")
        assert experiment not in ("vqe", "vqd", "qaoa", "dissociation_curve")
    else:
        assert declaration.config.optimizer.name == "spsa"
        assert ("optimizer.sweeps=7" in said) == sweeps


def test_a_setting_that_both_have_is_kept_and_one_of_the_old_choice_is_told(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example of the help, from a run with `optimizer.sweeps`: SPSA has no sweeps, and both a budget."""
    own = ["optimizer=nft", "optimizer.sweeps=2", "optimizer.max_evaluations=9"]
    assert main([*SMALL, *own, "hydra.run.dir=a"]) == 0
    capsys.readouterr()
    assert main(["resume", "a", "--fork", "optimizer=spsa", "hydra.run.dir=b"]) == 0

    said = capsys.readouterr()
    assert (
        "--fork: optimizer.sweeps=2 of a does not go with what is typed and is left out"
        in said.out + said.err
    )
    begun = first(read_journal(Path("b/journal.jsonl")).events, RunStarted)
    assert begun is not None
    assert begun.config["optimizer"]["name"] == "spsa"
    assert begun.config["optimizer"]["max_evaluations"] == 9
    assert (
        begun.config["ansatz"]["initial_values"]
        == json.loads(Path("a/result.json").read_text())["parameters"]
    )
    assert "optimizer.sweeps=2" not in begun.overrides


def test_what_a_program_set_is_treated_as_if_it_had_been_typed(tmp_path: Path) -> None:
    """Its optimizer had 44 evaluations and 7 sweeps, of which SPSA takes the former."""
    parent = declare(
        ["experiment=vqe", "optimizer=nft", "optimizer.max_evaluations=44", "optimizer.sweeps=7"]
    )
    path = recorded(tmp_path / "a", parent, typed=())
    with pytest.warns(ConfigWarning, match=r"--fork: optimizer\.sweeps=7 of .*a does not go"):
        declaration = fork(path, ["optimizer=spsa"])

    assert declaration.config.optimizer.name == "spsa"
    assert declaration.config.optimizer.max_evaluations == 44


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (["experiment=adapt_vqe"], [], "--fork: experiment=adapt_vqe takes no parameters to start from, those of "),
        (["experiment=vqe", "optimizer=spsa"], ["optimizer=nosuch"], "optimizer: 'nosuch' not found"),
        (["experiment=vqe", "optimizer=spsa"], ["optimizer.nosuch=1"], "optimizer.nosuch: unknown key"),
        (["experiment=vqe"], ["ansatz=file"], "ansatz.path: mandatory value missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_forked_is_said_of_what_was_typed(
    words: list[str], typed: list[str], said: str, tmp_path: Path
) -> None:
    """One line, about --fork or a key of the command line."""
    path = recorded(tmp_path / "a", declare(words))
    with pytest.raises(ConfigError) as caught:
        fork(path, typed)

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_another_experiment_is_refused_by_what_was_typed_only(experiment: str, tmp_path: Path) -> None:
    """Of a VQE by SPSA with settings of its own: no key is named that is not on the command line."""
    parent = declare(["experiment=vqe", "optimizer=spsa", "optimizer.iterations=15", "gradient=auto"])
    declaration, key, _ = forked(recorded(tmp_path / "a", parent), f"experiment={experiment}")

    assert (key in ("--fork", "experiment")) == (declaration is None)


def test_another_circuit_is_refused_in_words_about_the_fork(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two qubits, real_amplitudes: (reps + 1) · 2 angles. Random ones are taken where they are typed."""
    own = ["ansatz=real_amplitudes", "ansatz.reps=1", "optimizer.max_evaluations=5"]
    assert main([*SMALL, *own, "hydra.run.dir=a"]) == 0
    capsys.readouterr()
    assert main(["resume", "a", "--fork", "ansatz.reps=2", "hydra.run.dir=b"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --fork: the best parameters of a do not fit: has 4 numbers, the ansatz 6 parameters; "
        "leave the circuit as it was, or add ansatz.initial=random"
    )
    assert not Path("b").exists()
    assert main(["resume", "a", "--fork", "ansatz.reps=2", "ansatz.initial=random", "hydra.run.dir=b"]) == 0


def test_a_run_that_found_no_energy_says_so(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bitstrings have no energy."""
    execution.run(compose("experiment=sampling", "tracking=off", "run.figures=false"), directory="a")
    capsys.readouterr()
    assert main(["resume", "a", "--fork"]) == 2
    assert capsys.readouterr().err == (
        "error: --fork: a has found an energy at no parameters, so there is nothing to start from\n"
    )


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("parent", ["adapt_vqe", "varqite"])
def test_another_experiment_takes_over_the_problem(parent: str, typed: bool, tmp_path: Path) -> None:
    """Also where only the parent's experiment said which: H4, or H2 with UCCSD; of a program's run everything stays."""
    before = declare([f"experiment={parent}", "tracking=off"])
    path = recorded(tmp_path / "dir", before, typed=None if typed else ())
    told = pytest.warns(ConfigWarning, match=r"estimator.*session.*as experiment=vqe has it")
    with told if typed else contextlib.nullcontext():
        now = fork(path, ["experiment=vqe", "ansatz.initial=random"])

    assert now.values["hamiltonian"] == before.values["hamiltonian"]
    assert now.schemas["ansatz"] == before.schemas["ansatz"]
    exact = declare(["estimator=exact"]).config.estimator.precision
    assert (now.config.estimator.precision == exact) is not typed
    assert first(read_journal(Path(path, "journal.jsonl")).events, RunStarted).config == before.values


def test_a_problem_that_is_typed_with_an_experiment_counts(tmp_path: Path) -> None:
    """The parent's is H4; what it set of its Hamiltonian goes with that."""
    path = recorded(tmp_path / "dir", declare(["experiment=adapt_vqe", "tracking=off"]))
    with pytest.warns(ConfigWarning):
        now = fork(path, ["experiment=vqe", "ansatz.initial=random", "hamiltonian=h2"])

    assert now.values["hamiltonian"] == declare(["hamiltonian=h2"]).values["hamiltonian"]

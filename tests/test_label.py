"""A choice is called as it is: whoever types, or writes into a file, another one's name is told what to write."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import pytest

from runner import compose, resume, run
from runner.__main__ import main
from runner.declare.composer import declare
from runner.declare.config import GROUPS
from runner.errors import ConfigError, ResumeError
from runner.run.fork import fork
from runner.whatif.retime import columns

SMALL = (
    "hamiltonian=two_qubit",
    "optimizer.max_evaluations=6",
    "optimizer.sweeps=1",
    "tracking=off",
    "run.figures=false",
)

OTHERS = {
    "backend": "fake_torino",
    "session": "payg",
    "hamiltonian": "lih",
    "ansatz": "uccsd",
    "optimizer": "spsa",
    "estimator": "exact",
    "tracking": "mlflow",
    "experiment": "vqd",
}
"""Choices of conf/ that SMALL does not make."""


def test_the_name_of_another_choice_is_refused_in_every_group() -> None:
    """Whoever types backend.name=fake_torino means backend=fake_torino, and is told so."""
    assert OTHERS.keys() == set(GROUPS)
    for group, other in OTHERS.items():
        for sign in ("", "++"):
            with pytest.raises(ConfigError, match=rf"^{group}\.name: .*; write {group}={other}$"):
                compose(*SMALL, f"{sign}{group}.name={other}")


def test_a_name_that_is_no_choice_is_refused_with_the_choices() -> None:
    """`nonesuch` is in no folder of conf/; ibm_torino is a machine, which is named beside backend=ibm."""
    with pytest.raises(ConfigError, match=r"^experiment\.name: .*available: adapt_vqe"):
        compose(*SMALL, "experiment.name=nonesuch")
    with pytest.raises(ConfigError, match=r"write backend=ibm backend\.name=ibm_torino"):
        compose(*SMALL, "backend.name=ibm_torino")


def test_what_is_so_anyway_and_the_name_of_a_machine_stay() -> None:
    """The name of the choice itself says nothing new; of backend=ibm it is the machine."""
    assert compose(*SMALL, "backend.name=ideal").backend.name == "ideal"
    assert compose(*SMALL, "backend.name=noisy", "backend=noisy").backend.name == "noisy"
    assert compose("backend=ibm", "backend.name=ibm_fez", "estimator=shots").backend.name == "ibm_fez"
    assert (
        compose("experiment=session_guide", "experiment.name=vqe").experiment.name == "vqe"
    )  # it includes vqe
    with pytest.raises(ConfigError, match=r"^backend\.name"):
        compose("backend=best", "backend.name=ibm_fez", "estimator=shots")  # which is chosen by its errors


def test_racers_are_called_as_they_are() -> None:
    """A racer's own settings name it no more than the command line does."""
    with pytest.raises(ConfigError, match=r"^experiment\.optimizers\[1\]\.name: .*spsa"):
        compose("experiment=vqe_race", "experiment.optimizers=[cobyla,{nelder_mead:{name:spsa}}]")
    compose("experiment=vqe_race", "experiment.optimizers=[cobyla,{nelder_mead:{name:nelder_mead}}]")


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "optimizer.name=spsa,nft"],
        ["-m", "hydra.sweeper.params={optimizer.name: 'spsa,cobyla'}"],
        ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "optimizer.name=choice(spsa,nft)"],
        ["forecast", "backend.name=fake_torino"],
    ],
    ids=["sweep", "params", "search", "forecast"],
)
def test_sweeps_searches_and_forecasts_refuse_it_before_they_begin(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and no folder."""
    monkeypatch.chdir(tmp_path)
    code = main([*words, *SMALL])

    told = capsys.readouterr().err
    assert code == 2
    assert told.count("\n") == 1
    assert ".name: '" in told
    assert list(tmp_path.iterdir()) == []


def test_serve_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It serves fake_torino unless another is chosen."""
    monkeypatch.chdir(tmp_path)

    assert main(["serve", "backend.name=fake_manila", "port=0"]) == 2
    assert "write backend=fake_manila" in capsys.readouterr().err


def write(folder: Path, group: str, name: str, text: str) -> str:
    """A file of one's own."""
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / f"{name}.yaml").write_text(text)
    return str(folder)


VQE = "# @package _global_\ndefaults:\n  - vqe\n  - _self_\n"


def test_a_file_of_ones_own_names_no_choice_that_it_does_not_make(tmp_path: Path) -> None:
    """An experiment's file chooses in its defaults list; a file of another group is called as it is, or by itself."""
    noisy = "defaults:\n  - /schema/backend/noisy@_here_\n  - _self_\n"
    mine = write(tmp_path, "experiment", "wrong", f"{VQE}backend:\n  name: fake_torino\n")
    write(tmp_path, "experiment", "ring", f"{VQE}experiment:\n  name: ring\n")
    write(tmp_path, "experiment", "posing", f"{VQE}experiment:\n  name: qaoa\n")
    write(tmp_path, "backend", "posing", f"{noisy}name: fake_torino\n")
    write(tmp_path, "backend", "lab", f"{noisy}name: our lab\n")
    write(tmp_path, "backend", "built", "defaults:\n  - noisy\n  - _self_\nreadout_error: 0.05\n")

    with pytest.raises(ConfigError, match=r"^backend\.name: .*wrong\.yaml, and choose backend=fake_torino$"):
        compose("experiment=wrong", config_dirs=[mine])
    with pytest.raises(ConfigError, match=r"^backend\.name: .*backend=posing stays"):
        compose("backend=posing", config_dirs=[mine])
    with pytest.raises(ConfigError, match=r"^experiment\.name: .*experiment=posing stays"):
        compose("experiment=posing", config_dirs=[mine])
    assert compose("experiment=ring", config_dirs=[mine]).experiment.name == "ring"
    assert compose("backend=lab", config_dirs=[mine]).backend.name == "our lab"
    assert compose("backend=built", config_dirs=[mine]).backend.name == "noisy"


def test_what_a_file_leaves_to_be_typed_is_asked_for(tmp_path: Path) -> None:
    """`???` is Hydra's word for a value that somebody has to give; a default is not it."""
    mine = write(tmp_path, "experiment", "need", f"{VQE}seed: ???\nbackend:\n  method: ???\n")
    write(tmp_path, "experiment", "more", "# @package _global_\ndefaults:\n  - need\n  - _self_\nseed: 3\n")
    write(tmp_path, "optimizer", "open", "defaults:\n  - cobyla\n  - _self_\nname: open\ntolerance: ???\n")
    write(tmp_path, "session", "open", "defaults:\n  - payg\n  - _self_\nname: open\noverhead: ???\n")

    with pytest.raises(ConfigError, match=r"^seed: mandatory value missing; give seed=…$"):
        compose("experiment=need", "backend.method=statevector", config_dirs=[mine])
    with pytest.raises(ConfigError, match=r"^backend\.method: mandatory value missing"):
        compose("experiment=need", "seed=2", config_dirs=[mine])
    assert compose("experiment=need", "seed=2", "backend.method=statevector", config_dirs=[mine]).seed == 2
    assert compose("experiment=more", "backend.method=statevector", config_dirs=[mine]).seed == 3
    with pytest.raises(ConfigError, match=r"^optimizer\.tolerance: mandatory value missing"):
        compose("optimizer=open", config_dirs=[mine])
    assert compose("optimizer=open", "optimizer.tolerance=0.1", config_dirs=[mine]).optimizer.name == "open"
    with pytest.raises(
        ConfigError, match=r"^experiment\.optimizers\[0\]\.tolerance: mandatory value missing"
    ):
        compose("experiment=vqe_race", "experiment.optimizers=[open,cobyla]", config_dirs=[mine])


def test_retiming_and_forking_refuse_it_too(tmp_path: Path) -> None:
    """A recorded session with the name of another plan costs what it cost; files are asked for their values."""
    mine = write(
        tmp_path / "mine", "session", "open", "defaults:\n  - payg\n  - _self_\nname: open\noverhead: ???\n"
    )
    run(declare(SMALL), directory=str(tmp_path / "run"), quiet=True)

    with pytest.raises(ConfigError, match=r"^session\.name: .*write session=payg$"):
        columns(tmp_path / "run", ["session.name=payg"])
    with pytest.raises(ConfigError, match=r"^session\.overhead: mandatory value missing"):
        columns(tmp_path / "run", ["session=open"], config_dirs=[mine])
    with pytest.raises(ConfigError, match=r"^optimizer\.name: .*write optimizer=spsa$"):
        fork(tmp_path / "run", ["optimizer.name=spsa"])


def test_a_recorded_run_that_is_called_what_it_is_not_does_not_go_on(tmp_path: Path) -> None:
    """Earlier releases took the name alone, and recorded it; what was measured can be read and forked, without it."""
    folder = tmp_path / "run"
    run(declare(SMALL), directory=str(folder), quiet=True)
    pretend(folder, "experiment", "vqd")
    forked = tmp_path / "forked"
    run(declare(SMALL), directory=str(forked), quiet=True)
    content = (forked / "journal.jsonl").read_bytes()
    (forked / "journal.jsonl").write_bytes(
        again(content.replace(b'"name":"ideal"', b'"name":"fake_torino"', 1))
    )

    with pytest.raises(
        ConfigError, match=r"^--fork: backend\.name: 'fake_torino' .*; type which one is meant, backend=…"
    ):
        fork(forked, ["optimizer.max_evaluations=4"])
    assert fork(forked, ["backend=noisy"]).config.backend.name == "noisy"
    with pytest.raises(ResumeError, match=r"experiment\.name: 'vqd' is what another choice is called"):
        resume(folder)


def again(content: bytes) -> bytes:
    """Lines of a journal with checksums that are right."""
    crc, lines = 0, []
    for line in content.splitlines():
        said = line[: line.rindex(b',"crc":"')]
        crc = crc32(said, crc)
        lines.append(said + b',"crc":"%08x"}\n' % crc)
    return b"".join(lines)


def pretend(folder: Path, group: str, name: str) -> None:
    """Cut a journal off after its first line, with another name in it, and a right checksum."""
    first = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])
    before = first["config"][group]["name"]
    del first["crc"]
    first["config"][group]["name"] = name
    line = json.dumps(first, separators=(",", ":"), ensure_ascii=False)[:-1].encode()
    (folder / "journal.jsonl").write_bytes(line + b',"crc":"%08x"}\n' % crc32(line))
    config = (folder / "config.yaml").read_text()
    assert f"name: {before}" in config
    (folder / "config.yaml").write_text(config.replace(f"name: {before}\n", f"name: {name}\n", 1))
    (folder / "result.json").unlink()

"""One composer for all who read what is typed: everybody gets the same answer, and the caller's Hydra stays theirs."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.version import getbase

from runner import compose, resume, run
from runner.__main__ import main
from runner.declare.composer import Composer, _loaders, declare
from runner.declare.config import flatten
from runner.declare.overrides import Overrides
from runner.errors import ConfigError
from runner.record.events import RunStarted
from runner.sweep.compose import SweepPlanner, named
from runner.whatif.retime import columns
from tests.test_run import events

QUIET = ("tracking=off", "run.figures=false")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of configurations of somebody else's program."""
    folder = tmp_path / "theirs"
    (folder / "optimizer").mkdir(parents=True)
    (folder / "program.yaml").write_text("defaults:\n  - optimizer: sgd\n  - _self_\nwhose: theirs\n")
    (folder / "optimizer" / "sgd.yaml").write_text("rate: 0.5\n")
    return folder


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for --config-dir with an optimizer and a session of one's own; left as it is, it is composed once."""
    folder = tmp_path_factory.mktemp("composer") / "mine"
    for group, schema, values in (
        ("optimizer", "nelder_mead", "name: patient\nadaptive: false\n"),
        ("session", "session", "name: short\nmode: batch\nplan: premium\nmax_time: 5m\n"),
    ):
        (folder / group).mkdir(parents=True)
        name = values.split()[1]
        head = f"defaults:\n  - /schema/{group}/{schema}@_here_\n  - _self_\n"
        (folder / group / f"{name}.yaml").write_text(head + values)
    return folder


# ------------------------------------------------------------------------------------------------ somebody's Hydra


@pytest.mark.filterwarnings("ignore::hydra.errors.Hydra14MigrationWarning")
def test_inside_somebodys_hydra_theirs_stays_as_it_was(theirs: Path) -> None:
    """Instance, version and job name are what they were, and their next composition is of their folder."""
    _loaders.clear()
    with initialize_config_dir(str(theirs), job_name="their_job", version_base="1.1"):
        instance, hydra, base = GlobalHydra.instance(), GlobalHydra.instance().hydra, getbase()
        assert compose("optimizer=spsa").optimizer.name == "spsa"
        with pytest.raises(ConfigError):
            compose("optimizer=spsb")

        assert GlobalHydra.instance() is instance
        assert (GlobalHydra.instance().hydra, getbase()) == (hydra, base)
        whole = hydra_compose("program", return_hydra_config=True)
        assert (whole.whose, whole.optimizer.rate, whole.hydra.job.name) == ("theirs", 0.5, "their_job")
    assert not GlobalHydra.instance().is_initialized()


def test_threads_compose_beside_somebodys_hydra(theirs: Path) -> None:
    """Four threads compose ours while theirs is composed: everybody gets their own."""
    found: list[object] = []

    def ours(seed: int) -> None:
        for choice in ("adam", "spsa", "cobyla"):
            config = compose(f"optimizer={choice}", f"seed={seed}")
            found.append((config.optimizer.name, config.seed) == (choice, seed))

    compose()  # Hydra is asked for its loader once in a process
    with initialize_config_dir(str(theirs), version_base="1.3"):
        threads = [threading.Thread(target=ours, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert hydra_compose("program").whose == "theirs"
        for thread in threads:
            thread.join()

    assert found == [True] * 12


def test_a_hydra_program_can_compose_and_run(theirs: Path, workdir: Path) -> None:
    """Inside @hydra.main: a whole run, and afterwards their configuration of the job is still theirs."""
    program = workdir / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from runner import compose, run

        @hydra.main(config_path={str(theirs)!r}, config_name="program", version_base="1.3")
        def main(config):
            result = run(compose("estimator=exact", "optimizer.max_evaluations=4", *{QUIET!r}), directory="ours")
            print(config.whose, HydraConfig.get().job.name, HydraConfig.get().job.config_name, result.status)

        main()
        """)
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)

    assert done.stdout.split()[-4:] == ["theirs", "program", "program", "finished"], done.stderr


def test_folders_are_searched_before_the_house_the_first_of_them_first(mine: Path, tmp_path: Path) -> None:
    """The same name in two folders: the first one's; what only the second has is found too."""
    second = tmp_path / "second"
    (second / "optimizer").mkdir(parents=True)
    text = (mine / "optimizer" / "patient.yaml").read_text()
    (second / "optimizer" / "patient.yaml").write_text(text.replace("false", "true"))
    (second / "optimizer" / "other.yaml").write_text(text.replace("patient", "other"))
    folders = [str(mine), str(second)]

    assert not declare(["optimizer=patient"], config_dirs=folders).config.optimizer.adaptive
    assert declare(["optimizer=other"], config_dirs=folders).config.optimizer.name == "other"
    assert declare(["optimizer=patient"], config_dirs=folders[::-1]).config.optimizer.adaptive


# ------------------------------------------------------------------------------------------------ the race


@pytest.mark.parametrize(
    ("racer", "told"),
    [
        ("{nelder_mead:{adaptive:maybe}}", r"optimizers\[0\].adaptive: expected true or false, got 'maybe'"),
        ("{nelder_mead:{adaptve:true}}", r"optimizers\[0\].adaptve: unknown key; did you mean 'adaptive'"),
        ("{adam:{learning_rate:fast}}", r"optimizers\[0\].learning_rate: expected a number, got 'fast'"),
        ("{adam:{learning_rate:-1}}", r"optimizers\[0\].learning_rate: must be"),
        ("neldr_mead", r"optimizers\[0\]: unknown choice 'neldr_mead'; did you mean 'nelder_mead'"),
    ],
)
def test_a_racer_refuses_what_the_optimizer_refuses(racer: str, told: str) -> None:
    """The words are those of `optimizer.adaptive=maybe`, at the racer's place."""
    with pytest.raises(ConfigError, match=told):
        compose("experiment=vqe_race", f"experiment.optimizers=[{racer}]")


def test_what_is_typed_for_a_racer_has_the_type_of_the_field() -> None:
    """`adaptive: "no"` is false, as it is for `optimizer.adaptive=no`: of the declared racer and of another."""
    line = ["experiment=vqe_race", 'experiment.optimizers=[{nelder_mead:{adaptive:"no"}}]']
    for optimizer in ("nelder_mead", "cobyla"):
        config = compose(*line, f"optimizer={optimizer}")

        assert config.experiment.racers(config)[0].adaptive is False
    assert compose("optimizer=nelder_mead", "optimizer.adaptive=no").optimizer.adaptive is False


def test_a_racer_of_ones_own_folder_is_recorded_whole(mine: Path, workdir: Path) -> None:
    """It races with the declared limits, and a resumed run needs no folder: its settings are in the journal."""
    line = ["experiment=vqe_race", "experiment.optimizers=[cobyla,patient]", "optimizer=cobyla", *QUIET]
    shutil.copytree(mine, "own")
    declared = declare([*line, "optimizer.max_evaluations=9"], config_dirs=["own"])
    racer = declared.config.experiment.racers(declared.config)[1]
    assert (racer.name, racer.adaptive, racer.max_evaluations) == ("patient", False, 9)

    result = run(declared, directory="whole")
    lines = Path("whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("broken").mkdir()
    Path("broken/journal.jsonl").write_bytes(b"".join(lines[:8]))
    Path("broken/config.yaml").write_bytes(Path("whole/config.yaml").read_bytes())
    shutil.rmtree("own")

    (started,) = events(result, RunStarted.kind)
    first, second = started.config["experiment"]["optimizers"]
    assert first == "cobyla"
    assert second["patient"]["schema"]["nelder_mead"]["adaptive"] is False
    assert resume("broken").table == result.table


@pytest.mark.parametrize(
    "swept",
    ["'experiment.optimizers=[cobyla,patient]' seed=1,2", "experiment.optimizers=[cobyla,patient],[patient]"],
)
def test_a_swept_race_knows_choices_of_ones_own_folder(mine: Path, swept: str) -> None:
    """Each run of the sweep has them written out, as a run by itself has, also where other settings are swept."""
    planner = SweepPlanner(["experiment=vqe_race", *shlex.split(swept)], [str(mine)])

    for item in planner.combinations(planner.settings().swept):
        config = planner.declare(item.overrides).config
        racer = next(one for one in config.experiment.racers(config) if one.name == "patient")
        assert (type(racer).__name__, racer.adaptive) == ("NelderMead", False)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("defaults: [/schema/optimizer/spsa, _self_]\n", "names no schema; let its file begin with"),
        pytest.param("name: faulty\n", "names no schema; let its file begin with", marks=pytest.mark.nightly),
        pytest.param(
            "defaults: [/schema/optimizer/spsa@optimizer, _self_]\n",
            "names no schema; let its file begin with",
            marks=pytest.mark.nightly,
        ),
        (
            "defaults: [/schema/optimizer/spsa@_here_, _self_]\nadaptive: true\n",
            r"unknown key; .*faulty.yaml:2",
        ),
        (
            "defaults: [/schema/optimizer/spsa@_here_, _self_]\nlearning_rate: maybe\n",
            r"a number, got 'maybe'",
        ),
    ],
)
def test_a_faulty_file_is_told_of_a_racer_as_of_a_choice(tmp_path: Path, content: str, told: str) -> None:
    """The key says which racer it is; what is wrong is said in the same words."""
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "faulty.yaml").write_text(content, encoding="utf-8")
    race = ["experiment=vqe_race", "experiment.optimizers=[cobyla,faulty]"]

    with pytest.raises(ConfigError, match=told) as alone:
        declare(["optimizer=faulty"], config_dirs=[str(tmp_path)])
    with pytest.raises(ConfigError, match=told) as racing:
        declare(race, config_dirs=[str(tmp_path)])

    assert str(racing.value) == str(alone.value).replace("optimizer", "experiment.optimizers[1]", 1)


def test_two_racers_of_one_kind_have_names_of_their_own() -> None:
    """`schema` names the method where the racer's name is no choice."""
    racers = "[{slow:{schema:adam,learning_rate:0.01}},{fast:{schema:adam,learning_rate:0.5}}]"
    config = compose("experiment=vqe_race", f"experiment.optimizers={racers}", "optimizer=adam")

    assert [(item.name, item.learning_rate) for item in config.experiment.racers(config)] == [
        ("slow", 0.01), ("fast", 0.5),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ re-timing


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a queue."""
    directory = tmp_path_factory.mktemp("composer") / "run"
    line = (*QUIET, "estimator=exact", "optimizer.max_evaluations=4", "session.queue_delay.seconds=50")
    run(compose(*line), directory=str(directory))
    return directory


def test_retime_knows_choices_of_ones_own_folder(recorded: Path, mine: Path) -> None:
    """The choice brings what its file says; what it does not say stays as recorded."""
    session = columns(recorded, ["session=short"], config_dirs=[str(mine)])[1].session

    assert (session.mode, session.max_time, session.queue_delay.seconds) == ("batch", "5m", 50)
    assert main(["retime", str(recorded), "session=short", "--config-dir", str(mine)]) == 0


@pytest.mark.parametrize("begins", ["", "defaults: [/schema/session/session, _self_]\n"])
def test_retime_refuses_a_session_that_no_schema_checks(recorded: Path, tmp_path: Path, begins: str) -> None:
    """As a run does, with what the file lacks."""
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "loose.yaml").write_text(f"{begins}name: loose\nmax_time: 3m\n", encoding="utf-8")

    for asked in (
        lambda: columns(recorded, ["session=loose"], config_dirs=[str(tmp_path)]),
        lambda: declare(["session=loose"], config_dirs=[str(tmp_path)]),
    ):
        with pytest.raises(ConfigError, match=r"^session: names no schema; let its file begin with"):
            asked()
    with pytest.raises(ConfigError, match="session: 'short' not found"):
        columns(recorded, ["session=short"])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("session.queue_delay.seconds=long", "session.queue_delay.seconds: expected a number, got 'long'"),
        ("session.queue_dlay.seconds=1", "session.queue_dlay: unknown key; did you mean 'queue_delay'"),
        ("session.mode=maybe", "session.mode: unknown choice 'maybe'"),
        ("session=premum", "session: 'premum' not found; did you mean 'premium'"),
        ("~session.mode", "session.mode: required, cannot be removed"),
        ("+session=batch", r"session: is set already; drop the \+"),
    ],
)
def test_retime_refuses_what_a_run_refuses(recorded: Path, word: str, told: str) -> None:
    """In the same words."""
    with pytest.raises(ConfigError, match=told):
        columns(recorded, [word])
    with pytest.raises(ConfigError, match=told):
        compose(word)


# ------------------------------------------------------------------------------------------------ sweeps


@pytest.mark.parametrize(
    ("line", "key", "wanted"),
    [
        (
            ["hamiltonian=pauli", "hamiltonian.terms=[[ZZ,1.0]],[[XX,1.0]]"],
            "hamiltonian.terms",
            [[["ZZ", 1.0]], [["XX", 1.0]]],
        ),
        (
            ["hamiltonian=pauli", "hamiltonian.terms=choice([[ZZ,1.0]],[[XX,1.0]])", "seed=1"],
            "hamiltonian.terms",
            [[["ZZ", 1.0]], [["XX", 1.0]]],
        ),
        (["hamiltonian=file", "hamiltonian.path=a.txt,b.txt"], "hamiltonian.path", ["a.txt", "b.txt"]),
        (["ansatz=file", "ansatz.path=a.qasm,b.qasm"], "ansatz.path", ["a.qasm", "b.qasm"]),
        (["ansatz=gates", "ansatz.gates=[[h,0],[h,1]],[[x,0],[h,1]]"], "ansatz.gates", None),
        (["hamiltonian=maxcut", "hamiltonian.nodes=range(4,9,2)"], "hamiltonian.nodes", [4, 6, 8]),
        (["ansatz.initial_spread=range(0.25,1,0.25)"], "ansatz.initial_spread", [0.25, 0.5, 0.75]),
        (["optimizer=glob(co*)"], "optimizer.name", ["cobyla", "cobyqa"]),
        (["optimizer=glob(*,exclude=[a*,b*,c*,d*,l*,n*,p*,q*,s*])"], "optimizer.name", None),
        (["name=null,a"], "name", [None, "a"]),
        (["run.require_convergence=true,false"], "run.require_convergence", [True, False]),
        (["experiment=estimation", "experiment.observables=[ZZ],[{XX:0.5,YY:0.5}]"], "experiment.observables", None),
    ],
)  # fmt: skip
def test_any_key_can_be_swept(line: list[str], key: str, wanted: list[object] | None) -> None:
    """Also those without a default; the first and the last combination are what the same values give alone."""
    planner = SweepPlanner(line)
    combinations = planner.combinations(planner.settings().swept)
    declared = [planner.declare(item.overrides) for item in combinations]

    assert len(declared) > 1
    assert len(declared) == len(combinations)
    for place in (0, -1):
        assert declared[place] == declare(combinations[place].overrides)
    if wanted is not None:
        group, _, name = key.partition(".")
        found = [item.values[group][name] if name else item.values[group] for item in declared]
        assert found == wanted


def test_a_key_without_a_default_can_be_swept_with_its_choice_and_searched() -> None:
    """Two files on two kinds of Hamiltonian, and an interval, whose ends are declared like any value."""
    planner = SweepPlanner(["hamiltonian=qubo,file", "hamiltonian.path=a.txt,b.txt"])
    combinations = planner.combinations(planner.settings().swept)
    names = [planner.declare(item.overrides).values["hamiltonian"] for item in combinations]
    assert [(item["name"], item["path"]) for item in names] == [
        ("qubo", "a.txt"), ("qubo", "b.txt"), ("file", "a.txt"), ("file", "b.txt"),
    ]  # fmt: skip
    (swept,) = (
        SweepPlanner(["hydra/sweeper=optuna", "ansatz.initial_spread=interval(0.1,1)"]).settings().swept
    )
    assert (swept.value.start, swept.value.end) == (0.1, 1.0)


def test_a_sweep_over_terms_runs(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ZZ and XX of two qubits have the ground state −1 each, by eigenvalues on paper."""
    line = ["-m", "hamiltonian=pauli", "hamiltonian.terms=[[ZZ,1.0]],[[XX,1.0]]", "hydra.sweep.dir=s", *QUIET]
    assert main([*line, "estimator=exact", "optimizer=l_bfgs_b", "gradient=adjoint"]) == 0

    capsys.readouterr()
    rows = csv.DictReader(Path("s/sweep.csv").read_text().splitlines())
    assert [float(row["energy"]) for row in rows] == pytest.approx([-1.0, -1.0], abs=1e-6)


# ------------------------------------------------------------------------------------------------ presets yield


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (["estimator.default_precision=0.1"], {"default_shots": None, "default_precision": 0.1}),
        (["estimator.target_stddev=0.1"], {"default_shots": None, "target_stddev": 0.1}),
        (["estimator=target", "estimator.default_shots=7"], {"default_shots": 7, "target_stddev": None}),
        (["hamiltonian=maxcut", "hamiltonian.path=g.txt"], {"graph": "file", "path": "g.txt"}),
        (["hamiltonian=maxcut", "hamiltonian.edges=[[0,1]]"], {"graph": "edges", "edges": [[0, 1]]}),
        (["hamiltonian=maxcut", "hamiltonian.shape=[2,3]"], {"graph": "lattice", "shape": [2, 3]}),
        (["hamiltonian=two_qubit", "hamiltonian.table='ZZ 1.0'"], {"terms": [], "table": "ZZ 1.0"}),
        (["hamiltonian=h2", "hamiltonian.terms=[[ZZ,1.0]]"], {"table": "", "reference_energy": None, "geometry": ""}),
        (["ansatz.initial_values=[0.5]"], {"initial": "values", "initial_values": [0.5]}),
        (["experiment=session_guide", "ansatz.initial_values=[1]"], {"initial": "values", "reps": 3}),
        (["hamiltonian=mine_molecule", "hamiltonian.xyz_file=w.xyz"], {"geometry": "", "xyz_file": "w.xyz"}),
        (["hamiltonian=mine_file", "hamiltonian.geometry=H 0 0 0; H 0 0 1"], {"xyz_file": "", "frame": None}),
        (["hamiltonian=mine_graph", "hamiltonian.graph=cycle"], {"path": "", "layout": None, "graph": "cycle"}),
        (["hamiltonian=mine_graph", "hamiltonian.path=b.txt"], {"path": "b.txt", "layout": None}),
        (["hamiltonian=mine_graph", "hamiltonian.path=b.txt", "hamiltonian.layout=gset"], {"layout": "gset"}),
        (["hamiltonian=mine_qubo", "hamiltonian.entries=[[0,0,1]]"], {"path": "", "entries": [[0, 0, 1]]}),
        (["experiment=mine_estimation", "experiment.parameter_values=[0.1]"], {"random_shape": []}),
        (["ansatz=mine_layers", "ansatz.entanglement=full"], {"pairs": [], "entanglement": "full"}),
        (["ansatz=mine_start", "ansatz.initial=zeros"], {"initial": "zeros", "initial_values": []}),
    ],
)  # fmt: skip
def test_what_excludes_each_other_is_decided_by_what_is_typed(
    line: list[str], wanted: dict[str, object], presets: Path
) -> None:
    """A file set one of them; typed is another, or the same anew."""
    group = line[-1].partition(".")[0]
    declared = declare(line, config_dirs=[str(presets)])

    assert {key: declared.values[group][key] for key in wanted} == wanted


@pytest.mark.parametrize(
    "line",
    [
        ["hamiltonian=maxcut", "hamiltonian.path=g.txt"],
        ["estimator=target", "estimator.default_shots=7"],
        ["hamiltonian=mine_file", "hamiltonian.geometry=H 0 0 0; H 0 0 1"],
        ["experiment=mine_estimation", "experiment.parameter_values=[0.1]"],
    ],
)
def test_what_excludes_each_other_is_decided_alike_in_a_sweep(line: list[str], presets: Path) -> None:
    """A choice of the house and one of a file, of a part and of the experiment."""
    declared = declare(line, config_dirs=[str(presets)])

    assert SweepPlanner([*line, "seed=1,2"], [str(presets)]).declare([*line, "seed=2"]).values == {
        **declared.values, "seed": 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one's own that set one of several settings; one folder, so that what is alike is composed once."""
    tmp_path = tmp_path_factory.mktemp("composer")
    for name, schema, values in (
        ("hamiltonian/mine_molecule", "hamiltonian/molecule", "geometry: H 0 0 0; H 0 0 1"),
        ("hamiltonian/mine_file", "hamiltonian/molecule", "xyz_file: a.xyz\nframe: 2"),
        ("hamiltonian/mine_graph", "hamiltonian/maxcut", "graph: file\npath: a.txt\nlayout: matrix"),
        ("hamiltonian/mine_qubo", "hamiltonian/qubo", "path: a.txt"),
        ("experiment/mine_estimation", "experiment/estimation", "random_shape: [3]"),
        ("ansatz/mine_layers", "ansatz/efficient_su2", "pairs: [[0, 1]]"),
        ("ansatz/mine_start", "ansatz/efficient_su2", "initial: values\ninitial_values: [0.1]"),
    ):
        path = tmp_path / "presets" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f"defaults:\n  - /schema/{schema}@_here_\n  - _self_\nname: {path.stem}\n"
        path.write_text(f"{head}{values}\n")
    return tmp_path / "presets"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (["experiment=session_guide", "optimizer=adam"], ("optimizer", "max_evaluations", 25)),
        (["experiment=session_guide", "ansatz=uccsd", "hamiltonian=h4"], ("ansatz", "initial", "random")),
        (["experiment=sweep_tfim", "hamiltonian=h2"], ("ansatz", "reps", 6)),
        (["experiment=adapt_vqe", "optimizer=cobyla"], ("experiment", "threshold", 0.01)),
    ],
)
def test_what_a_file_sets_of_another_choice_is_left_out(
    line: list[str], wanted: tuple[str, str, object]
) -> None:
    """Keys that the typed choice does not have, and a gradient it does not take; what it has stays as the file says."""
    values = declare(line).values
    group, key, value = wanted

    assert values[group][key] == value
    assert values["gradient"] == "auto" or line[1].startswith("hamiltonian")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["experiment=session_guide", "optimizer=adam", "optimizer.tolerance=1"], "optimizer.tolerance: unknown key"),
        (["experiment=adapt_vqe", "estimator=shots", "gradient=adjoint"], "gradient: adjoint is exact"),
        (["estimator.default_shots=9", "estimator.default_precision=0.1"], "both shots and precision"),
        (["hamiltonian=maxcut", "hamiltonian.graph=cycle", "hamiltonian.path=g.txt"], "give both or none"),
        (["ansatz.initial=zeros", "ansatz.initial_values=[1]"], "give both or none"),
    ],
)  # fmt: skip
def test_what_is_typed_is_never_left_out(line: list[str], told: str) -> None:
    """Two typed things that exclude each other are refused together."""
    with pytest.raises(ConfigError, match=told):
        compose(*line)


def test_a_typo_in_an_experiments_file_is_still_refused(tmp_path: Path) -> None:
    """Its own settings, and those of choices that nobody typed another for."""
    (tmp_path / "experiment").mkdir()
    head = "# @package _global_\ndefaults:\n  - /experiment/vqe@_here_\n  - _self_\n"
    for text in ("experiment:\n  nmae: x\n", "optimizer:\n  max_evalations: 3\n"):
        (tmp_path / "experiment" / "mine.yaml").write_text(head + text)
        with pytest.raises(ConfigError, match="unknown key; did you mean"):
            declare(["experiment=mine", "estimator=exact"], config_dirs=[str(tmp_path)])


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with experiments of one's own: some include others, some set what belongs to another choice."""
    tmp_path = tmp_path_factory.mktemp("composer")
    (tmp_path / "experiment").mkdir()
    pauli = "/experiment/vqe@_here_\n  - override /hamiltonian: pauli"
    for name, included, text in (
        ("child", "session_guide", "seed: 5"),
        ("grandchild", "child@_here_", "name: g"),
        ("absolute", "/experiment/child@_here_", "optimizer:\n  tolerance: 0.1"),
        ("few", "vqe", "estimator:\n  default_shots: 77"),
        ("flex", "vqe", "session:\n  plan: flex"),
        ("differences", "vqe", "gradient: none"),
        ("bond", pauli, "hamiltonian:\n  terms: [[ZZ, 1.0]]"),
    ):
        head = f"# @package _global_\ndefaults:\n  - {included}\n  - _self_\n"
        (tmp_path / "experiment" / f"{name}.yaml").write_text(f"{head}{text}\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("experiment=child optimizer=spsa", {"optimizer.name": "spsa", "optimizer.max_evaluations": 25, "seed": 5}),
        ("experiment=grandchild optimizer=adam", {"optimizer.name": "adam", "ansatz.reps": 3, "name": "g"}),
        ("experiment=absolute optimizer=nft backend=ideal", {"optimizer.tolerance": 1e-6, "ansatz.reps": 3}),
        ("experiment=session_guide estimator=target", {"estimator.default_shots": None}),
        ("experiment=few estimator=target", {"estimator.default_shots": None, "estimator.target_stddev": 0.005}),
        ("experiment=few estimator=shots", {"estimator.default_shots": 77}),
        ("experiment=sweep_tfim hydra.mode=RUN hamiltonian=maxcut", {"hamiltonian.graph": "random_regular"}),
        ("experiment=flex", {"session.plan": "flex"}),
        ("experiment=flex session=premium", {"session.plan": "premium"}),
        ("experiment=differences optimizer=l_bfgs_b", {"gradient": "auto"}),
        ("experiment=differences seed=2", {"gradient": "none"}),
        ("experiment=bond", {"hamiltonian.terms": [["ZZ", 1.0]]}),
        ("experiment=bond hamiltonian=pauli", {"hamiltonian.terms": [["ZZ", 1.0]]}),
    ],
)  # fmt: skip
def test_a_typed_choice_beats_what_a_file_says_of_another(
    line: str, wanted: dict[str, object], experiments: str
) -> None:
    """Whichever file says it, the named one or one it includes; what fits stays. The values stand in the files."""
    values = flatten(declare(line.split(), config_dirs=[experiments]).values)

    assert {key: values[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    "line",
    ["experiment=child optimizer=spsa", "experiment=few estimator=target",
     "experiment=differences optimizer=l_bfgs_b", "experiment=bond hamiltonian=pauli"],
)  # fmt: skip
def test_it_does_in_a_sweep(line: str, experiments: str) -> None:
    """Of each kind of choice one: what the file says is left out there as it is alone."""
    alone = declare([*line.split(), "seed=2"], config_dirs=[experiments])
    swept = SweepPlanner([*line.split(), "seed=1,2"], [experiments]).declare([*line.split(), "seed=2"])

    assert swept.values == alone.values


@pytest.mark.parametrize("name", ["two_qubit", "h2"])
def test_a_typed_hamiltonian_is_that_hamiltonian(name: str, experiments: str) -> None:
    """Terms that an experiment's file sets of its own one are not mixed with the reference energy of another."""
    typed = declare(["experiment=bond", f"hamiltonian={name}"], config_dirs=[experiments])

    assert typed.values["hamiltonian"] == declare([f"hamiltonian={name}"]).values["hamiltonian"]


@pytest.mark.parametrize("typed", [(), ("optimizer=spsa",), ("optimizer=cobyla",)])
def test_a_dotted_key_in_a_file_is_told_how_to_write_it(typed: tuple[str, ...], tmp_path: Path) -> None:
    """A file's keys are nested, whatever is typed beside it."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "dotted.yaml").write_text("# @package _global_\noptimizer.rhobeg: 0.5\n")

    with pytest.raises(
        ConfigError, match=r"'optimizer.rhobeg' is no key of a file; write `optimizer:` and `rhobeg: …`"
    ):
        declare(["experiment=dotted", *typed], config_dirs=[str(tmp_path)])


@dataclass
class Theirs:
    """A schema of somebody's program."""

    rate: float = 0.5


@pytest.mark.parametrize("place", ["optimizer/adam", "backend/ideal", "config", "experiment/vqe"])
def test_a_program_may_have_stored_a_schema_under_a_name_of_ours(place: str, theirs: Path) -> None:
    """What its ConfigStore holds is not taken for ours, inside its Hydra and without; it holds it afterwards."""
    store, (group, _, name) = ConfigStore.instance(), place.rpartition("/")
    store.store(group=group or None, name=name, node=Theirs)
    try:
        alone = compose("optimizer=adam")
        with initialize_config_dir(str(theirs), version_base="1.3"):
            inside = compose("optimizer=adam", "optimizer.learning_rate=0.2")
            kept = store.load(f"{place}.yaml").node
    finally:
        nodes = store.repo[group] if group else store.repo
        del nodes[f"{name}.yaml"]

    assert alone.optimizer.learning_rate == 0.05  # conf/optimizer/adam.yaml
    assert (inside.optimizer.learning_rate, inside.backend.name) == (0.2, "ideal")
    assert kept == {"rate": 0.5}


def test_a_preset_sweeps_only_what_the_typed_choice_has() -> None:
    """sweep_tfim sweeps the field; H2 has none, so its seeds are what is left."""
    planner = SweepPlanner(["experiment=sweep_tfim", "hamiltonian=h2"])

    assert [item.key for item in planner.settings().swept if item.swept] == ["seed"]


def test_estimation_takes_the_declared_hamiltonian_at_its_own_start(workdir: Path) -> None:
    """The Ising chain of eight sites, H = −Σ ZZ − Σ X, has ⟨0…0|H|0…0⟩ = −7: seven bonds, no field, on paper."""
    line = ("experiment=estimation", "estimator=exact", *QUIET)

    result = run(compose(*line, "hamiltonian=tfim", "ansatz.initial=zeros"))
    assert result.energy == pytest.approx(-7.0, abs=1e-9)
    assert compose(*line).ansatz.name == "gates"
    assert compose(*line, "hamiltonian=tfim", "ansatz.gates=[[h,7]]").ansatz.name == "gates"
    assert compose("experiment=sampling", "hamiltonian=tfim").ansatz.name == "bell"


def test_completion_of_choices_and_keys(mine: Path) -> None:
    """Choices of folders too; keys of the choice that was typed before."""
    composer = Composer([str(mine)])

    assert composer.completions([], "optimizer=pat") == ["optimizer=patient"]
    assert composer.completions(["optimizer=patient"], "optimizer.ada") == ["optimizer.adaptive="]
    assert composer.completions(["optimizer=nobody"], "see") == ["seed="]
    assert composer.completions([], "run.") == [
        "run.allow_environment_change=", "run.figures=", "run.max_compute_time=", "run.require_convergence=",
        "run.resume=",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("{a: 1, b: {a: 2}, c: [{a: 1}, {a: 2}]}", None),
        ("{a: 'b: 1, b: 2', c: b:1, d: b:2}", None),
        ("{θ[0]: 1, θ[1]: 2}", None),
        ("'{a: 1, a: 2}'", None),
        ("choice({a: 1},{a: 2})", None),
        ("{a: 1, a: 1}", "a"),
        ("[x,{b: {a: 1, c: [], a: 2}}]", "a"),
        ("{a: 1, 'a': 2}", "a"),
        (r"{θ[1]: 1, θ\[1\]: 2}", "θ[1]"),
        ("{'a:b': 1, \"a:b\": 2}", "a:b"),
        ("choice({a: 1},{a: 2, a: 3})", "a"),
    ],
)
def test_a_mapping_gives_a_name_once(value: str, name: str | None) -> None:
    """Told by eye; of a name that stands twice Hydra's grammar takes the last."""
    if name is None:
        assert Overrides.of([f"x={value}"]).texts == (f"x={value}",)
        return
    with pytest.raises(ConfigError, match=f"^x: {re.escape(name)} stands twice in one"):
        Overrides.of([f"x={value}"])


def test_words_are_parsed_once_into_what_they_say() -> None:
    """Sign, key, place and value; what is parsed is not parsed again."""
    line = Overrides.of(["+a.b=1", "++c=[x,'y z']", "~d", "e@f=g", "h=1,2", "seed=range(0,4,2)"])

    assert [(item.sign, item.key, item.package) for item in line[:4]] == [
        ("+", "a.b", None), ("++", "c", None), ("~", "d", None), ("", "e", "f"),
    ]  # fmt: skip
    assert [item.value for item in line[:4]] == [1, ["x", "y z"], None, "g"]
    assert [item.typed(text) for item in line for text in item.values] == [
        "+a.b=1", "++c=[x,'y z']", "~d", "e@f=g", "h=1", "h=2", "seed=0", "seed=2",
    ]  # fmt: skip
    assert Overrides.of(line) is line


@pytest.mark.parametrize(
    "typed",
    [
        ("session=job", "session.max_time=null"),
        ("session=job", "session.lanes=1"),
        ("session.clock=wall", "session.clock_scale=60"),
        ("session.queue_delay={kind: lognormal, seconds: 9, sigma: 2}",),
        ("hamiltonian=maxcut", "hamiltonian.graph=cycle", "hamiltonian.weights=normal", "hamiltonian.graph_seed=3"),
        ("hamiltonian=tfim", "hamiltonian.field_disorder=0.1", "hamiltonian.disorder_seed=3"),
        ("hamiltonian=sk", "hamiltonian.disorder_seed=3"),
        ("ansatz.pairs=[]", "ansatz.entanglement=full"),
        ("experiment=dynamics", "optimizer.max_evaluations=3"),
        ("experiment=adapt_vqe", "session=job"),
    ],
)  # fmt: skip
def test_what_acts_or_says_nothing_may_be_typed(typed: tuple[str, ...]) -> None:
    """Empty values, settings beside what they act with, and what a preset sets for a mode that another is typed for."""
    assert compose(*typed).experiment


def test_a_sweep_names_the_combination_in_which_a_setting_cannot_act() -> None:
    """It acts in the first combination and is refused in the second, quickly composed or not."""
    planner = SweepPlanner(["session=premium,job", "session.max_time=10m"])
    first, second = planner.combinations(planner.settings().swept)

    assert planner.declare(first.overrides).config.session.longest == 600
    with (
        pytest.raises(ConfigError, match=r"^session.max_time: .*got job; .*in the combination session=job"),
        named(second.label),
    ):
        planner.declare(second.overrides)


@pytest.mark.parametrize(
    "word", ["θ=0.3", "ansatz.θ=0.3", "größe=3", "+θ=1", "~θ", "session.größe=3 h", "θ=[1,2]"]
)
def test_a_key_with_other_letters_is_unknown(word: str) -> None:
    """Hydra's grammar has no such keys; a value may have any letters."""
    with pytest.raises(ConfigError, match=r"unknown key; keys have the letters a to z"):
        compose(word)
    assert compose("name=größe θ").name == "größe θ"


@pytest.mark.parametrize("word", ["seed=choice(1,choice(2,3))", "seed=[choice(1,2)]", "seed={a:range(1,3)}"])
def test_a_sweep_within_a_value_is_refused(word: str) -> None:
    """Hydra parses it and OmegaConf cannot hold it."""
    with pytest.raises(ConfigError, match="several values within one; write all of them in one choice"):
        SweepPlanner([word]).settings()


@pytest.mark.parametrize(
    "word",
    [
        "hydra.sweeper.params={seed:choice(1,2)}",
        "+hydra.sweeper.params={seed:'1,2'}",
        "hydra.sweeper.params.seed=1,2",
        "++hydra.sweeper.params.seed='range(1,3)'",
        "hydra.sweeper.params={seed:range(1,3)}",
    ],
)
def test_swept_values_may_be_typed_as_a_preset_has_them(word: str) -> None:
    """Each is seed=1,2 written otherwise."""
    planner = SweepPlanner([word, "optimizer=spsa"])
    labels = [item.label for item in planner.combinations(planner.settings().swept)]

    assert labels == [{"seed": "1"}, {"seed": "2"}]


def test_a_sweeps_directory_may_refer_to_settings() -> None:
    """As a run's may: the name of the optimizer is what is typed."""
    planner = SweepPlanner(["seed=1,2", "optimizer=spsa", "hydra.sweep.dir=sw_${optimizer.name}"])

    assert planner.settings().directory == "sw_spsa"


def test_decimal_steps_add_up() -> None:
    """0, 0.3, 0.6, 0.9 and no more, on paper."""
    (item,) = Overrides.of(["hamiltonian.field=range(0,1,0.3)"])
    (other,) = Overrides.of(["hamiltonian.field=range(0,1.1,0.1)"])

    assert [float(text) for text in item.value.texts()] == [0.0, 0.3, 0.6, 0.9]
    assert len(other.value) == 11


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: compose(["seed=1"]), r"write each as one, e.g. 'seed=1'"),
        (lambda: compose(config_dirs="mine"), r"config_dirs: takes a list of folders, got 'mine'"),
        (lambda: compose(config_dirs=None), r"config_dirs: takes a list of folders, got None"),
        (lambda: compose("hydra.run.dir=x"), r"hydra.run.dir: a configuration names no directory; give it to run"),
        (lambda: compose("hydra.mode=MULTIRUN"), r"hydra.mode: .* is a sweep here and compose\(\) declares one run"),
        (lambda: compose("experiment=sweep_tfim"), r"hydra.mode: .* is a sweep here.*; add hydra.mode=RUN"),
        (lambda: compose("++optimizer=spsa"), r"optimizer: is set already; drop the \+\+: optimizer=spsa"),
        (lambda: SweepPlanner(["seed=1,2", "hydra.sweeper.max_batch_size=0"]).settings(), r"must be 1 or more, got 0"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_with_the_remedy(call: Callable[[], object], told: str) -> None:
    """From Python as from the command line."""
    with pytest.raises(ConfigError, match=told):
        call()

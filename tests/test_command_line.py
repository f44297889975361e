"""What each verb takes: its flags, paths and settings; everything else is refused with what has it, in one line."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import yaml

from runner.__main__ import main
from runner.cli import SHARED, VERBS
from runner.cli.line import read, verbs
from runner.cli.verb import Flag
from runner.errors import ConfigError

SWEPT = ["-m", "optimizer=cobyla,spsa", "seed=1,2,3"]


def some(flag: Flag) -> list[str]:
    """The words with which a flag could be typed."""
    return [flag.name, flag.choices[0] if flag.choices else "x"] if flag.value else [flag.name]


def every_flag() -> dict[str, Flag]:
    """Each flag that any verb has, once."""
    return {flag.name: flag for verb in verbs().values() for flag in verb.flags}


def test_every_module_of_the_command_line_is_a_verb_or_shared() -> None:
    """A file put into runner/cli is found by `--help`, or said to be none."""
    folder = Path(__file__).parents[1] / "runner" / "cli"

    assert {path.stem for path in folder.glob("[!_]*.py")} == {*VERBS, *SHARED}
    assert [verb.name for verb in verbs().values()] == list(VERBS)


def test_a_flag_is_spelled_the_same_and_takes_a_value_with_all_verbs_or_with_none() -> None:
    """Flags may stand before the verb, so a word must mean the same before it is known."""
    known: dict[str, tuple[str, bool]] = {}
    for verb in verbs().values():
        spellings = [spelling for flag in verb.flags for spelling in (flag.name, flag.short) if spelling]
        assert len(set(spellings)) == len(spellings)
        for flag in verb.flags:
            for spelling in filter(None, (flag.name, flag.short)):
                assert known.setdefault(spelling, (flag.name, bool(flag.value))) == (
                    flag.name,
                    bool(flag.value),
                )


@pytest.mark.parametrize("verb", VERBS)
def test_a_flag_is_taken_by_the_verbs_that_have_it_and_refused_by_the_others(verb: str) -> None:
    """Each verb with each flag of any verb: none is ignored; whoever has it is named."""
    declared = verbs()[verb]
    paths = ["x"] * declared.paths[0]
    mine = {flag.name: flag for flag in declared.flags}
    for name, flag in every_flag().items():
        if name in mine:
            needed = mine.get(mine[name].needs)
            assert flag.key in read([verb, *some(flag), *(some(needed) if needed else []), *paths]).flags
            continue
        owners = [other.name for other in verbs().values() if name in {one.name for one in other.flags}]
        with pytest.raises(ConfigError, match=f"^{name}: `{verb}` has no such flag") as refused:
            read([verb, *some(flag), *paths])
        assert all(f"`{owner}`" in str(refused.value) for owner in owners)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("arguments", [("{}", "--help"), ("--help", "{}"), ("-h", "{}", "outputs")])
def test_every_verb_explains_itself(
    verb: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`VERB --help`: what it does, its arguments, each flag, and an example that can be typed."""
    assert main([word.format(verb) for word in arguments]) == 0

    text = capsys.readouterr().out
    declared = verbs()[verb]
    assert declared.does in text
    for flag in declared.flags:
        assert flag.name in text
    for argument in declared.arguments:
        assert argument.name in text
    assert declared.examples
    for example in declared.examples:
        assert f"python -m runner {example}\n" in text
        assert read(example.replace("'", "").split()).verb == verb
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "seed=1"], "seed: `list` has no such setting; it has limit"),
        (["list", "nowhere"], "nowhere is no directory"),
        (["compare", "nowhere"], "nowhere is no directory"),
        (["watch", "a", "b"], "watch: takes one run directory, got 2; leave 'b' out"),
        (["resume", "a", "b"], "resume: takes one run directory, got 2"),
        (["resume", "seed=1"], "resume: needs a run directory"),
        (["retime", "session=batch"], "retime: needs a run directory"),
        (["report"], "report: needs a run directory"),
        (["report", "x", "seed=1"], "seed: `report` has no such setting; leave it out"),
        (["sync"], "sync: needs a run directory"),
        (["export", "x", "seed=1"], "seed: `export` has no such setting; it has plugins"),
        (["ui", "seed=1"], "seed: `ui` has no such setting"),
        (["ui", "allow_remote=maybe"], "allow_remote: unknown choice 'maybe'"),
        (["seed=1", "Resume"], "Resume: a verb comes first: python -m runner resume"),
        (["RESUM", "x"], "RESUM: unknown verb; did you mean 'resume'"),
        (["resume", "x", "-cd", "."], "--config-dir: means nothing without --fork"),
        (["--resolve"], "--resolve: means nothing without --cfg"),
        (["-p", "optimizer"], "--package: means nothing without --cfg"),
        (["-m", "--run"], "--run: contradicts --multirun"),
        (["-m", "hydra.mode=RUN"], "--multirun: contradicts hydra.mode=RUN"),
        (["-r", "hydra.mode=MULTIRUN"], "--run: contradicts hydra.mode=MULTIRUN"),
        (["--cfg", "job", "--version"], "--version: stands alone; leave '--cfg' out"),
        (["-c", "job", "-sc", "install=bash"], "--shell-completion: prints something else than --cfg"),
        (["--cfg", "job", "-c", "all"], "-c: is given twice, 'job' and 'all'"),
        (["list", "limit=3", "limit=4"], "limit: is given twice, '3' and '4'; keep one"),
        (["seed=1", "optimizer=spsa", "seed=2"], "seed: is given twice, '1' and '2'; keep one"),
        (
            ["-m", "optimizer=spsa", "optimizer=cobyla,nft"],
            "optimizer: is given twice, 'spsa' and 'cobyla,nft'",
        ),
        (["forecast", "++seed=1", "++seed=2"], "seed: is given twice, '1' and '2'"),
        (["resume", "x", "plugins=[a]", "plugins=[b]"], "plugins: is given twice"),
        (["serve", "port=1", "port=2"], "port: is given twice"),
        (["--version", "seed=1"], "--version: stands alone; leave 'seed=1' out"),
        (["--hydra-help", "-m"], "--hydra-help: stands alone; leave '--multirun' out"),
        (["-m", "-sc", "install=bash"], "--shell-completion: contradicts --multirun"),
        (["forecast", "experiment=sweep_tfim"], "forecast: what is declared is a sweep; add hydra.mode=RUN"),
        (["forecast", "hydra.mode=MULTIRUN"], "forecast: what is declared is a sweep"),
        (["--cfg", "jop"], "--cfg: unknown choice 'jop'; did you mean 'job'"),
        (["--cfg"], "--cfg: needs a value"),
        (["--cfg", "-m"], "--cfg: needs a value"),
        (["--fork=1"], "--fork: takes no value"),
        (["--frok"], "--frok: unknown flag; did you mean '--fork'"),
        (["--help", "lst"], "--help: nothing has to do with 'lst'; did you mean 'list'?"),
        (["--help", "qwqw"], "--help: nothing has to do with 'qwqw'; --help alone lists what there is"),
        (["experiment", "vqe"], "experiment: unknown verb; type python -m runner experiment=vqe"),
        (["Vqe"], "Vqe: unknown verb; type python -m runner experiment=vqe"),
        (["seed=1", "SPSA"], "SPSA: has no value; type optimizer=spsa"),
        (["--cfg", "job", "-p", "optimiser"], "--package: there is no 'optimiser'; did you mean 'optimizer'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_verb_does_not_take_is_refused(
    arguments: list[str], message: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and nothing is created."""
    assert main(arguments) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}"), line
    assert list(workdir.iterdir()) == []


def test_a_verb_may_be_written_in_any_letters() -> None:
    """As file systems and fingers do."""
    assert read(["RESUME", "x"]).verb == read(["Resume", "x"]).verb == "resume"


@pytest.mark.parametrize("verb", [name for name, verb in verbs().items() if verb.path])
def test_a_folder_may_begin_with_a_dash(verb: str) -> None:
    """Behind `--` every word is a path, as for other programs; what stands before is read as ever."""
    assert read([verb, "--", "-x"]).paths == ["-x"]
    assert read(["--", verb, "-x"]).paths == ["-x"]
    assert read([verb, "--", "--help"]).flags == set()


def test_behind_two_dashes_there_are_no_flags() -> None:
    """They end the flags once; a setting stays one."""
    assert read(["--config-dir", "d", "--", "seed=3"]).settings == ["seed=3"]
    assert read(["list", "--", "--"]).paths == ["--"]
    with pytest.raises(ConfigError, match="needs a value"):
        read(["run", "--config-dir", "--", "seed=3"])


def test_a_folder_may_be_called_like_a_setting(workdir: Path) -> None:
    """Runs are named by what differs from the defaults, with equals signs."""
    (workdir / "seed=1").mkdir()

    line = read(["resume", "seed=1", "run.figures=false"])
    assert (line.paths, line.settings) == (["seed=1"], ["run.figures=false"])


def test_every_combination_of_a_sweep_can_be_printed(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-m --cfg job` prints one document per combination, the last value fastest, and runs nothing."""
    assert main([*SWEPT, "--cfg", "job"]) == 0

    found = list(yaml.safe_load_all(capsys.readouterr().out))
    told = [(values["optimizer"]["name"], values["seed"]) for values in found]
    assert told == list(product(("cobyla", "spsa"), (1, 2, 3)))
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("mode", [["hydra.mode=MULTIRUN", *SWEPT[1:]], ["experiment=sweep_tfim"]])
def test_a_sweep_that_is_not_asked_for_by_the_flag_is_printed_whole_too(
    mode: list[str], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hydra.mode`, on the command line or in the experiment's file, is `-m`."""
    assert main([*mode, "-c", "job"]) == 0
    assert len(list(yaml.safe_load_all(capsys.readouterr().out))) > 1
    assert list(workdir.iterdir()) == []


def test_one_run_of_a_sweep_is_printed(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--run`, although the experiment's file says that it is a sweep."""
    assert main(["experiment=sweep_optimizers", "--run", "-c", "all"]) == 0
    (whole,) = yaml.safe_load_all(capsys.readouterr().out)
    assert whole["hydra"] == {"mode": "RUN", "run": {"dir": None}}
    assert list(workdir.iterdir()) == []


def test_a_part_of_the_configuration_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--cfg` with `--package` and `--resolve`, as with Hydra."""
    assert main(["optimizer=spsa", "--cfg", "job", "--resolve", "-p", "optimizer"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "spsa"

    assert (
        main(
            [
                *SWEPT,
                "hydra/launcher=joblib",
                "hydra.launcher.n_jobs=3",
                "-c",
                "hydra",
                "-p",
                "hydra.launcher",
            ]
        )
        == 0
    )
    assert yaml.safe_load(capsys.readouterr().out)["n_jobs"] == 3


def test_a_search_has_no_combinations_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    """It chooses its values as it goes; what they are put into can be seen."""
    assert main(["experiment=search_ansatz", "--cfg", "job"]) == 2
    assert "a search chooses its values as it goes; hydra.mode=RUN" in capsys.readouterr().err

    assert main(["experiment=search_ansatz", "--cfg", "job", "hydra.mode=RUN"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["seed"] == 1

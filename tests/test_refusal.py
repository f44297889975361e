"""Bad input: one line that names the key and the remedy, exit code 2, nothing created."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from omegaconf import OmegaConf

from runner.__main__ import main
from runner.declare.composer import Composer, compose
from runner.declare.config import GROUPS
from runner.declare.overrides import Overrides
from runner.declare.registry import load
from runner.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = yaml.safe_load((ROOT / "tests" / "bad_input.yaml").read_text("utf-8"))
ELSEWHERE: dict[int, str] = CATALOGUE.pop("elsewhere")
WARNED = CATALOGUE.pop("warned")
ROWS = range(1, 96)
"""The catalogue of bad input."""


def cases(rows: dict[Any, list[Any]]) -> list[Any]:
    """Arguments, pattern and files of every case, with its row as the test's name."""
    return [
        pytest.param(case[0], case[1], case[2] if len(case) > 2 else {}, id=f"row{row}-{number}")
        for row, several in rows.items()
        for number, case in enumerate(several)
    ]


def write(files: dict[str, str]) -> None:
    """Put files into the current folder."""
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")


def everything() -> list[Path]:
    """All that is in the current folder, however deep."""
    return sorted(Path().rglob("*"))


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command line is refused with."""
    code = main(arguments)
    captured = capsys.readouterr()

    assert code in (2, 5)
    assert captured.out == ""
    *warned, line = captured.err.splitlines()
    # on a slow machine what takes long is told before
    assert all(text.startswith("warning: ") or text.endswith("…") for text in warned)
    assert line.startswith("error: ")
    assert len(line) <= 320
    return line


@pytest.mark.parametrize(("arguments", "pattern", "files"), cases(CATALOGUE))
def test_bad_input_is_told_in_one_line(
    arguments: list[str],
    pattern: str,
    files: dict[str, str],
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every row of the catalogue: what was wrong, what was expected, and no file or folder left behind."""
    write(files)
    before = everything()

    line = refused(arguments, capsys)

    assert re.search(pattern, line), line
    assert everything() == before


@pytest.mark.parametrize(("arguments", "pattern", "files"), cases(WARNED))
def test_what_may_be_a_mistake_is_warned_about_once(
    arguments: list[str],
    pattern: str,
    files: dict[str, str],
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names the setting, then the run; on a slow machine its progress stands between."""
    write(files)
    small = ["tracking=off", "run.figures=false", "optimizer.max_evaluations=2", "estimator.default_shots=10"]

    code = main(["hydra.run.dir=out", *small, *arguments])

    assert code == (3 if pattern.startswith("session.max_time") else 0)
    lines = capsys.readouterr().err.splitlines()
    (line,) = (text for text in lines if text.startswith("warning: "))
    assert re.match(f"warning: {pattern}", line), line
    assert not any(text.startswith("error: ") for text in lines)
    assert Path("out/result.json").is_file()


def test_every_row_of_the_catalogue_has_a_test() -> None:
    """Rows 1 to 95 by their numbers; those that are tested elsewhere name a test that there is."""
    in_files = {int(match[1]) for name in YAML_FILES if (match := re.match(r"row(\d+)", name))}
    here = {row for row in CATALOGUE if isinstance(row, int)} | set(WARNED) | in_files

    assert [row for row in ROWS if row not in here | set(ELSEWHERE)] == []
    assert here | set(ELSEWHERE) <= set(ROWS)
    for place in ELSEWHERE.values():
        path, _, name = place.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, place


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("estimator.default_shots='100'", "estimator"),  # row 41
        ("ansatz.reps='2'", "ansatz"),  # row 58
        ("optimizer.max_evaluations='10'", "optimizer"),  # row 68
    ],
)
def test_a_quoted_number_is_the_number(override: str, where: str) -> None:
    """Shells and YAML quote; what can be read in one way only is taken for that."""
    value = getattr(getattr(compose(override), where), override.partition("=")[0].partition(".")[2])

    assert type(value) is int
    assert value == int(override.partition("'")[2].strip("'"))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("{w[0]: 0.3, w[1]: 0.4}", {"w[0]": 0.3, "w[1]": 0.4}),
        ("{ θ[0] :1,γ: 2 }", {"θ[0]": 1, "γ": 2}),
        ("{'w[0]': 1, \"x y\": 2}", {"w[0]": 1, "x y": 2}),
        (r"{w\[0\]: 0.3, θ\[1\]: 1}", {"w[0]": 0.3, "θ[1]": 1}),
        ("{θ: 'b, w[1]: x'}", {"θ": "b, w[1]: x"}),
        ("[{w[0]: {θ[1]: 2}}]", [{"w[0]": {"θ[1]": 2}}]),
    ],
)
def test_names_with_indices_are_names(value: str, wanted: Any) -> None:
    """Elements of vectors as the summary prints them; what is in quotes stays as it is."""
    (override,) = Overrides.of([f"ansatz.initial_values={value}"])

    assert override.value == wanted
    assert override.text == f"ansatz.initial_values={value}"


def test_several_values_with_such_names_make_a_sweep() -> None:
    """Each is written so that it can be read again."""
    (override,) = Overrides.of(["a={w[0]: 1},{θ[0]: 2}"])
    written = override.values

    assert [Overrides.of([f"a={text}"])[0].value for text in written] == [{"w[0]": 1}, {"θ[0]": 2}]


@pytest.mark.parametrize("text", ["a=[x, w[0]:1]", "a={w[0]: 1", "a={w[0] 1}"])
def test_what_only_looks_like_names_is_refused(text: str) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match="is not understood"):
        Overrides.of([text])


def test_a_process_says_the_same(workdir: Path) -> None:
    """`python -m runner` as it is typed: the line, exit code 2, nothing on the other stream, no file."""
    done = subprocess.run(
        [sys.executable, "-m", "runner", "sed=1"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert everything() == []


YAML_FILES = {
    "row4-typo": (b"# x\ndefaults: [/schema/session/session@_here_, _self_]\nname: mine\nmax_tim: 3\n",
                  r"session.max_tim: unknown key; did you mean 'max_time'.*mine.yaml:4"),
    "row19-syntax": (b"name: [1\nx: 2\n", r"mine.yaml:2:\d+: .*correct the YAML"),
    "row20-duplicate": (b"name: a\nname: b\n", r"mine.yaml:2: key 'name' stands twice"),
    "row20-in-a-list": (b"name: a\nx: [{ZZ: 0.25, XX: 0.5, 'ZZ': 1}]\n", r"mine.yaml:2: key 'ZZ' stands twice"),
    "row21-tab": (b"name:\n\tx: 1\n", r"mine.yaml:2: a tab is used for indentation; use spaces"),
    "row22-tag": (b"name: !!python/object/apply:os.system [id]\n", r"mine.yaml:1:\d+: tag .* is not allowed"),
    "row23-binary": ("name: x\n".encode("utf-16"), r"mine.yaml: is not UTF-8"),
    "row24-empty": (b"\n", r"mine.yaml: file is empty"),
    "row25-bomb": (b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((98 + i,) * 2 + (97 + i,) * 10) for i in range(6)
    ), r"expands to more than 100000 nodes"),
    "row25-large": (b"name: " + b"x" * 1_000_001, r"mine.yaml is larger than 1000000 bytes; give a smaller file"),
    "no-schema": (b"name: mine\nmax_time: 3\n", r"session: names no schema; .*/schema/session/NAME@_here_.* session$"),
    "row92-secret": (b"name: a\ntoken: abc\n", r"token: secrets do not belong"),
    "target": (b"name: a\n_target_: os.system\n", r"_target_: configurations cannot name Python objects"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("group", "content"),
    [
        ("optimizer", "name: mine\n"),
        ("optimizer", "name: mine\ntolerance: 0.1\n"),
        ("hamiltonian", "name: mine\nterms: [[Z, 1.0]]\n"),
        ("estimator", "defaults: [/schema/backend/ideal@_here_, _self_]\nname: mine\n"),
    ],
)
def test_a_choice_of_no_schema_is_told_so_whatever_it_holds(
    group: str,
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its keys may be those of a schema; without its name they are checked by none."""
    (tmp_path / "mine" / group).mkdir(parents=True)
    (tmp_path / "mine" / group / "mine.yaml").write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    line = refused(["--config-dir", "mine", f"{group}=mine"], capsys)

    assert line.startswith(f"error: {group}: names no schema; let its file begin with")


@pytest.mark.parametrize("case", YAML_FILES)
def test_bad_yaml_is_told_in_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of the user's own config folder: the line says file and line."""
    content, pattern = YAML_FILES[case]
    folder = tmp_path / "mine" / "session"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_bytes(content)
    monkeypatch.chdir(tmp_path)

    line = refused(["--config-dir", "mine", "session=mine"], capsys)

    assert re.search(pattern, line), line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def floats() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Group, a choice and what is changed of it, for every setting of every schema that takes a number."""
    composer, known = Composer(), set[object]()
    for group in GROUPS:
        for name in composer.options(group):
            schema = OmegaConf.get_type(composer._named(group, name, {}))
            if schema in known or not is_dataclass(schema):
                continue
            known.add(schema)
            settings, kinds = [item.name for item in fields(schema)], get_type_hints(schema)
            for setting in settings:
                if "float" in (kind := str(kinds[setting])):
                    nan = float("nan")
                    value = [nan] if "list" in kind else {"a": nan} if "dict" in kind else nan
                    needed = {"path": "file"} if name == "file" and "path" in settings else {}
                    yield group, name, {setting: value, **needed}


def test_nan_is_no_value_of_any_setting() -> None:
    """It is neither below nor above any bound, so that every comparison lets it pass."""
    load()
    everywhere, taken = list(floats()), []
    for group, name, changes in everywhere:
        try:
            Composer().choice(group, name, changes, key=group)
        except ConfigError as error:
            if "nan" in str(error):
                continue
        taken.append((group, name, changes))

    assert len(everywhere) > 100
    assert taken == []


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "request_timeout=nan"],
        ["serve", "session.clock_scale=nan"],
        ["serve", "usage_limit=nan"],
        ["forecast", "session.clock_scale=nan"],
        ["forecast", "optimizer=spsa", "optimizer.learning_rate=nan"],
        ["ui", "tracking.timeout=nan"],
        ["ui", "port=nan"],
        ["-m", "hydra/launcher=joblib", "hydra.launcher.timeout=nan", "seed=1,2"],
        ["-m", "hydra/sweeper=optuna", "hydra.sweeper.max_failure_rate=nan", "seed=range(1,3)"],
    ],
)
def test_nan_is_refused_by_every_verb(
    words: list[str], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also by those with settings of their own."""
    assert "nan" in refused(words, capsys)


@pytest.mark.parametrize(
    "word",
    [
        "tracking.experiment=caf\udce9",
        "tracking.uri=sqlite:////tmp/caf\udce9.db",
        "hamiltonian.path=h\udcff.txt",
        "ansatz.initial=run:/tmp/RUN\udcff",
        "hydra.run.dir=r\udcff",
        "experiment.optimizers=[\ud800]",
    ],
)
def test_what_is_no_utf8_is_refused(word: str) -> None:
    """A byte that is no UTF-8 comes as a lone surrogate (PEP 383), which no file of a run can hold."""
    with pytest.raises(
        ConfigError, match=rf"^{word.partition('=')[0]}: .*has a letter that is no UTF-8; write"
    ):
        compose(word)


def test_a_file_or_a_folder_that_is_no_utf8_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """YAML writes a surrogate as an escape; a folder's name has it as a byte; one line each, and nothing is created."""
    mine = tmp_path / "mine" / "experiment"
    mine.mkdir(parents=True)
    (mine / "odd.yaml").write_text(
        '# @package _global_\ndefaults: [vqe, _self_]\ntracking: {experiment: "\\uD800b"}\n'
    )
    with pytest.raises(ConfigError, match=r"odd\.yaml:3:24: .*has a letter that is no UTF-8"):
        compose("experiment=odd", config_dirs=[str(mine.parent)])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://caf\udce9.example")
    with pytest.raises(ConfigError, match=r"^tracking\.uri: .*has a letter that is no UTF-8"):
        compose()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    folder = tmp_path / "bad\udcff"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for words in (["tracking=off"], ["-m", "seed=1,2", "tracking=off"], ["forecast"]):
        assert main(words) == 2
        assert re.fullmatch(r"error: the current folder: .*\n", capsys.readouterr().err)
    assert list(folder.iterdir()) == []


def test_digits_of_another_script_are_no_number(tmp_path: Path) -> None:
    """U+0663 is Arabic for three, which int() reads; U+FF11 is a wide 1."""
    mine = tmp_path / "experiment"
    mine.mkdir()
    (mine / "odd.yaml").write_text(
        "# @package _global_\ndefaults: [vqe, _self_]\nseed: \u0663\n", encoding="utf-8"
    )
    for word in ("seed=\u0663", "optimizer.tolerance=\uff11", "experiment.name=\u0663"):
        with pytest.raises(ConfigError, match=r"in other digits; write it with 0 to 9$"):
            compose(word)
    with pytest.raises(ConfigError, match=r"odd\.yaml:3:7: .*is 3 in other digits"):
        compose("experiment=odd", config_dirs=[str(tmp_path)])


def test_brackets_without_end_are_told_as_depth(tmp_path: Path) -> None:
    """Four thousand of them are more than Python's reader of YAML takes."""
    (tmp_path / "seed.yaml").write_text(f"seed: {'[' * 4000}{']' * 4000}\n")
    with pytest.raises(ConfigError, match=r"seed\.yaml: is nested more than 64 deep; simplify it$"):
        compose(config_dirs=[str(tmp_path)])

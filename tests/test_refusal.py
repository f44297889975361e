"""Bad input: one line that names the key and the remedy, exit code 2, nothing created."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from runner.__main__ import main

CATALOGUE = yaml.safe_load((Path(__file__).parent / "bad_input.yaml").read_text("utf-8"))
CASES = [
    pytest.param(arguments, pattern, id=f"row{row}-{number}")
    for row, cases in CATALOGUE.items()
    for number, (arguments, pattern) in enumerate(cases)
]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command line is refused with."""
    code = main(arguments)
    captured = capsys.readouterr()

    assert code in (2, 5)
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    assert len(captured.err) <= 320
    return captured.err


@pytest.mark.parametrize(("arguments", "pattern"), CASES)
def test_bad_input_is_told_in_one_line(
    arguments: list[str],
    pattern: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every row of the catalogue: what was wrong, what was expected, and no file or folder left behind."""
    monkeypatch.chdir(tmp_path)

    line = refused(arguments, capsys)

    assert re.search(pattern, line), line
    assert list(tmp_path.iterdir()) == []


YAML_FILES = {
    "row4-typo": (b"# x\ndefaults: [/schema/session/session@_here_, _self_]\nname: mine\nmax_tim: 3\n",
                  r"session.max_tim: unknown key; did you mean 'max_time'.*mine.yaml:4"),
    "row19-syntax": (b"name: [1\nx: 2\n", r"mine.yaml:2:\d+: .*correct the YAML"),
    "row20-duplicate": (b"name: a\nname: b\n", r"mine.yaml:2: key 'name' stands twice"),
    "row21-tab": (b"name:\n\tx: 1\n", r"mine.yaml:2: a tab is used for indentation; use spaces"),
    "row22-tag": (b"name: !!python/object/apply:os.system [id]\n", r"mine.yaml:1:\d+: tag .* is not allowed"),
    "row23-binary": ("name: x\n".encode("utf-16"), r"mine.yaml: is not UTF-8"),
    "row24-empty": (b"\n", r"mine.yaml: file is empty"),
    "row25-bomb": (b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((98 + i,) * 2 + (97 + i,) * 10) for i in range(6)
    ), r"expands to more than 100000 nodes"),
    "row25-large": (b"name: " + b"x" * 1_000_001, r"mine.yaml: is larger than 1000000 bytes"),
    "row92-secret": (b"name: a\ntoken: abc\n", r"token: secrets do not belong"),
    "target": (b"name: a\n_target_: os.system\n", r"_target_: configurations cannot name Python objects"),
}  # fmt: skip


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

"""What a notebook shows: docs/notebook.ipynb carried out cell by cell, and every object as it renders itself."""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from runner import compose, run
from runner.display import markup
from runner.review.figures.canvas import canvas

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


def cells() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Source and outputs of every cell with code."""
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"]), cell["outputs"]


def carried_out(source: str, names: dict[str, Any]) -> tuple[str, Any]:
    """What a cell prints, and the value of its last line."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, NOTEBOOK.name, "exec"), names)
        value = (
            None if last is None else eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)  # type: ignore[attr-defined]
        )
    return printed.getvalue(), value


def test_the_notebook_of_the_documentation_does_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell in its order, in one process: the numbers it prints are those of the page, and values render."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = []
    for source, outputs in cells():
        printed, value = carried_out(source, names)

        assert printed == "".join("".join(out["text"]) for out in outputs if out.get("name") == "stdout"), (
            source
        )
        kinds = {kind for out in outputs if out["output_type"] == "execute_result" for kind in out["data"]}
        if "image/png" in kinds:
            assert value._repr_png_().startswith(b"\x89PNG")
        if "text/html" in kinds:
            assert value._repr_html_().startswith(("<table>", "<div>"))
        shown.append(kinds)
    assert sum("text/html" in kinds for kinds in shown) >= 4
    assert any("image/png" in kinds for kinds in shown)


def test_the_notebook_was_carried_out_in_its_order() -> None:
    """In a kernel, from the first cell to the last, without an error, with a picture and with progress."""
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    counts = [cell["execution_count"] for cell in content["cells"] if cell["cell_type"] == "code"]
    text = NOTEBOOK.read_text("utf-8")

    assert counts == list(range(1, len(counts) + 1))
    assert '"output_type": "error"' not in text
    assert "data:image/png;base64," in text
    assert any(
        "evaluation " in "".join(out["data"]["text/plain"])
        for _, outputs in cells() for out in outputs if out["output_type"] == "display_data"
    )  # fmt: skip


def test_a_figure_shows_itself() -> None:
    """A PNG of the size it has, 8 × 4.5 inches at 120 dots, whatever canvas it has."""
    picture = Image.open(io.BytesIO(canvas()._repr_png_()))

    assert picture.size == (960, 540)


def test_tables_are_text_without_colours() -> None:
    """Nothing in them becomes markup, empty cells stay empty, many rows are counted."""
    facts = markup.facts([("<b>", "a & b", "note")])
    table = markup.table([{"x": 1.23456789, "y": None, "z": "<i>"}] * 21)

    assert "&lt;b&gt;" in facts
    assert "a &amp; b" in facts
    assert "<td>1.23457</td><td></td><td>&lt;i&gt;</td>" in table
    assert "21 rows in all" in table
    assert table.count("<tr>") == 21
    assert "color" not in facts + table
    assert markup.table([]) == ""


class Cell:
    """What IPython's `display` gives back: it keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        """Show something else."""
        assert raw
        self.told.append(data["text/plain"])


def kernel(cell: Cell, config: dict[str, Any]) -> ModuleType:
    """A module with what is asked of IPython."""
    module = ModuleType("IPython")
    vars(module).update(
        get_ipython=lambda: SimpleNamespace(config=config),
        display=SimpleNamespace(display=lambda *_, **options: cell if options["display_id"] else None),
    )
    return module


@pytest.mark.parametrize(("config", "quiet", "shown"), [
    ({"IPKernelApp": {}}, None, True), ({"IPKernelApp": {}}, True, False), ({}, None, False),
])  # fmt: skip
def test_progress_is_shown_by_itself_in_a_notebook_only(
    config: dict[str, Any], quiet: bool | None, shown: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line that changes in the cell; IPython in a terminal is no notebook, and quiet is quiet."""
    cell = Cell()
    monkeypatch.setitem(sys.modules, "IPython", kernel(cell, config))
    words = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=5")

    run(compose(*words), directory=str(tmp_path / "run"), quiet=quiet)

    assert [line.split("  ")[0] for line in cell.told[-1:]] == (["evaluation 5/5"] if shown else [])

"""Every fact of a run: made by name, read by attribute, and the same bytes in the journal as ever."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, is_dataclass
from pathlib import Path

import pytest

from runner.record.encoding import fields_of, from_line
from runner.record.events import (
    RUN,
    Checkpoint,
    Evaluation,
    Iteration,
    Other,
    SessionChanged,
    check_said,
)

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*/*/journal.jsonl"))


def lines(path: Path) -> list[bytes]:
    """The whole lines of a journal; one that was cut off by a kill is none."""
    return [line for line in path.read_bytes().split(b"\n") if line.endswith(b'"}')]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.parent.name)
def test_what_a_release_wrote_is_read_and_would_be_written_again(path: Path) -> None:
    """Of every line the kind is known, and its fields come out again as the bytes that release wrote."""
    for line in lines(path):
        event = from_line(line)

        found = re.fullmatch(rb'\{.*?"t":[0-9.e+]+(,"kind":"([a-z.]+)",.*),"crc":"\w{8}"\}', line)
        assert found is not None
        assert type(event) is RUN[found[2].decode()]
        assert fields_of(event) == found[1]


def test_facts_are_frozen_and_say_what_they_are_made_of() -> None:
    """Nobody changes the past; a field that does not exist, or one that is missing, is no fact."""
    assert all(is_dataclass(one) for one in RUN.values())
    made = Evaluation(energy=-1.0, index=0, workload="vqe", best=-1.0, stddev=0.0)

    with pytest.raises(FrozenInstanceError):
        made.energy = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing: \\['stddev'\\]"):
        Evaluation(workload="vqe", index=0, energy=-1.0, best=-1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="enrgy"):
        Evaluation(workload="vqe", index=0, enrgy=-1.0, best=-1.0, stddev=0.0)  # type: ignore[call-arg]


def test_the_order_of_a_line_is_that_of_the_declaration() -> None:
    """However a maker names the fields, the bytes are the same; what was not given is not written."""
    made = Evaluation(best=-1.0, stddev=0.0, index=0, energy=-1.0, workload="vqe")

    assert list(made.said()) == ["workload", "index", "energy", "stddev", "best"]
    assert made.gradient_norm is None
    assert made == Evaluation(workload="vqe", index=0, energy=-1.0, stddev=0.0, best=-1.0)
    assert repr(made) == "Evaluation(workload='vqe', index=0, energy=-1.0, stddev=0.0, best=-1.0)"


def test_what_other_releases_say_or_do_not_say() -> None:
    """A later one may add a field or a kind, an earlier one knew fewer: all can be read, and nothing gets lost."""
    more = from_line(
        b'{"seq":3,"t":1.5,"kind":"evaluation","workload":"w","index":0,"energy":"nan","colour":"red"}'
    )
    new = from_line(b'{"seq":4,"t":2.5,"kind":"moon.rose","phase":0.5,"workload":"w"}')
    old = from_line(b'{"seq":5,"t":3.5,"kind":"session","session":"s","state":"open","time":0.0}')

    assert isinstance(more, Evaluation)
    assert (more.seq, more.t, more.energy, more.parameters) == (3, 1.5, "nan", None)
    assert more.said() == {"workload": "w", "index": 0, "energy": "nan", "colour": "red"}
    assert isinstance(new, Other)
    assert (new.kind, new.stream, new.said()) == ("moon.rose", "w", {"phase": 0.5, "workload": "w"})
    assert isinstance(old, SessionChanged)
    assert (old.stream, old.interactive_timeout, old.usage_time) == ("s", None, None)


def test_what_an_optimizer_tells_of_its_steps_is_open() -> None:
    """An optimizer of a plug-in may tell anything; what all tell has a name."""
    step = Iteration.of("w", 3, {"energy": -1.0, "evaluations": 7, "trust_radius": 0.5})

    assert (step.iteration, step.evaluations, step.more) == (3, 7, {"trust_radius": 0.5})


def test_what_an_objective_tells_of_its_evaluations_is_open() -> None:
    """As is what a table's row is called, but for the names that a line has for itself."""
    told = Evaluation.of({"depth": 3}, workload="w", index=0, energy=-1.0, stddev=0.0, best=-1.0)

    assert told.said() == {
        "workload": "w", "index": 0, "energy": -1.0, "stddev": 0.0, "best": -1.0, "depth": 3
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"checkpoint uses a reserved name: \['t'\]"):
        Checkpoint.of(0, {"t": 1.0})


def test_what_a_resumed_run_repeats_and_what_may_be_written_late() -> None:
    """As docs/reliability.md says: three sorts follow from those before them, and whatever does is repeated."""
    replayed = {kind for kind, fact in RUN.items() if fact.replayed}
    derived = {kind for kind, fact in RUN.items() if fact.derived}

    assert derived == {"job.submitted", "evaluation", "iteration"} <= replayed
    assert not {kind for kind in replayed if kind.startswith("run.")}
    assert replayed == {
        *derived,
        "session",
        "job.completed",
        "reserve",
        "budget",
        "candidates",
        "estimate",
        "checkpoint",
        "samples",
    }


def test_every_field_is_explained() -> None:
    """With its unit, where it has one: what a journal says can be read without the code that wrote it."""
    import ast
    import inspect

    from runner.record import events

    for node in ast.walk(ast.parse(inspect.getsource(events))):
        if isinstance(node, ast.ClassDef) and node.name in {fact.__name__ for fact in RUN.values()}:
            assert ast.get_docstring(node)
            for field, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign):
                    explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                    assert explained, f"{node.name}.{ast.unparse(field.target)}"


def test_a_line_of_a_known_form_is_looked_at_for_what_its_lists_hold() -> None:
    """Names and types of fields as in a line that was right, but a text among the numbers, or in place of them."""
    line = {
        "workload": "w",
        "index": 0,
        "energy": -1.0,
        "stddev": 0.0,
        "best": -1.0,
        "parameters": [0.5, "nan"],
    }
    for right in ([0.5, 1], ["inf", 0.5], []):
        check_said({"kind": "evaluation", **line, "parameters": right})

    for wrong in ([0.5, "x"], [None], [[0.5]]):
        with pytest.raises(ValueError, match="parameters holds what it cannot"):
            check_said({"kind": "evaluation", **line, "parameters": wrong})
    for name, value in {"energy": "-1", "index": 0.5, "parameters": "nan"}.items():
        with pytest.raises(ValueError, match=f"{name} is a "):
            check_said({"kind": "evaluation", **line, name: value})
    check_said({"kind": "evaluation", **line, "energy": "nan", "new": "of a later release"})


@pytest.mark.parametrize("value", [-4.0, -4, -1e-12, 0.0])
@pytest.mark.parametrize("name", ["qpu_seconds", "qpu_estimate", "preparation", "usage_time"])
def test_K17_nothing_took_less_than_no_time(name: str, value: float) -> None:
    """But for rounding; a time by a clock may be before its zero."""
    kinds = {"qpu_seconds": "job.completed", "usage_time": "session"}
    line = b'{"seq":3,"t":5.0,"kind":"%s","time":-3.0,"%s":%r}'.replace(b"%r", repr(value).encode())
    line = line.replace(b"%s", kinds.get(name, "job.submitted").encode(), 1).replace(b"%s", name.encode())
    if value > -1:
        assert from_line(line).said()[name] == value
        return
    with pytest.raises(ValueError, match=f"{name} is -4"):
        from_line(line)

"""G7: whatever is typed, the answer is a run or one line; never a traceback, never a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.config import CONF, GROUPS, declare, flatten
from runner.errors import ConfigError

KEYS = [
    *sorted(flatten(declare([]).values)),
    "",
    "hydra.run.dir",
    "hydra",
    "a.b",
    "session",
    "plugins[0]",
    "seed.x",
]
CHOICES = [f"{group}={path.stem}" for group in GROUPS for path in (CONF / group).glob("*.yaml")]
VALUES = [
    "", "null", "true", "-1", "0", "1", "1.5", "1e3", "1e400", "nan", "inf", "-inf", "0x10", "99999999999999999999",
    "abc", "'a b'", '"x"', "[]", "[1,2]", "[[ZZ,1.0]]", "[[1,[2]]]", "{}", "{a:1}", "{a:{b:[1]}}", "???", "${seed}",
    "${nope}", "${a:b}", "${oc.env:HOME}", "$", "[1", "a=b", "\\", "\t", "ψ", "💥", "\x00", "x" * 5000, "../../etc",
    "/dev/null", "25m", "1h 30m", "_target_", "!!python/object:os.system", "%", "<script>", "a,b", "range(3)", "1,2",
]  # fmt: skip
PREFIXES = ["", "", "", "", "+", "++", "~"]

override = st.one_of(
    st.tuples(st.sampled_from(PREFIXES), st.sampled_from(KEYS), st.sampled_from(VALUES)).map(
        lambda parts: f"{parts[0]}{parts[1]}={parts[2]}"
    ),
    st.sampled_from(CHOICES),
    st.tuples(st.sampled_from(GROUPS), st.sampled_from(VALUES)).map("=".join),
    st.text(max_size=30),
)


def check(overrides: list[str]) -> None:
    """Compose; the only error there may be is one readable line."""
    before = sorted(Path.cwd().iterdir())
    try:
        declare(overrides)
    except ConfigError as error:
        line = "error: " + " ".join(str(error).split())

        assert len(line) <= 400, line
        assert "Traceback" not in line
    assert sorted(Path.cwd().iterdir()) == before


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(overrides=st.lists(override, min_size=1, max_size=4))
def test_any_command_line_is_a_declaration_or_one_line(workdir: Path, overrides: list[str]) -> None:
    """Valid and invalid overrides in any mixture."""
    check(overrides)


@pytest.mark.nightly
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overrides=st.lists(override, min_size=1, max_size=4))
def test_twenty_thousand_command_lines(workdir: Path, overrides: list[str]) -> None:
    """The same, for an hour."""
    check(overrides)

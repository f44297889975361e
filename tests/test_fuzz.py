"""G7: whatever is typed, the answer is a run or one line; never a traceback, never a file.

What is accepted is also prepared as for a run: problem built, fitted to the backend, compiled. The long campaign is
`python -m pytest -m nightly tests/test_fuzz.py -n 8`: twenty parts of a thousand command lines, each with a seed of its
own, so they may be spread over processes and one part can be repeated alone.
"""

from __future__ import annotations

import random
import re
import warnings
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from runner.declare.composer import declare
from runner.declare.config import CONF, GROUPS, RunConfig, flatten
from runner.declare.registry import registered
from runner.errors import ConfigError, ConfigWarning, RunnerError
from runner.run.preflight import Preparation

PARTS, CASES = 20, 1000
"""The campaign: how many parts, and command lines in each."""

KEYS = [
    *sorted(flatten(declare([]).values)),
    "",
    "hydra.run.dir",
    "hydra",
    "a.b",
    "session",
    "plugins[0]",
    "seed.x",
    "schema",
    "schema/ansatz",
    "hamiltonian.terms[0]",
    "session@x",
]
CHOICES = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


def schema_of(path: Path) -> str:
    """The schema that a choice belongs to; presets that build on another experiment have that one's."""
    match = re.search(r"/schema/\w+/(\w+)@", path.read_text("utf-8"))
    return match[1] if match else "vqe"


FIELDS = {
    f"{group}={path.stem}": [f"{group}.{item.name}" for item in fields(registered()[group][schema_of(path)])]
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
}
"""Choice → the settings that it brings along."""
VALUES = [
    "", "null", "true", "-1", "0", "1", "1.5", "1e3", "1e400", "nan", "inf", "-inf", "0x10", "99999999999999999999",
    "abc", "'a b'", '"x"', "[]", "[1,2]", "[[ZZ,1.0]]", "[[1,[2]]]", "{}", "{a:1}", "{a:{b:[1]}}", "???", "${seed}",
    "${nope}", "${a:b}", "${oc.env:HOME}", "$", "[1", "a=b", "\\", "\t", "ψ", "💥", "\x00", "x" * 5000, "../../etc",
    "/dev/null", "25m", "1h 30m", "_target_", "!!python/object:os.system", "%", "<script>", "a,b", "range(3)", "1,2",
    "2", "3", "0.5", "[0,1]", "[[0,1]]", "[a]", "[null]", "[[]]", "{1:2}", "zeros", "random", "hartree_fock",
]  # fmt: skip
ORDINARY = ["null", "true", "false", "0", "1", "2", "3", "0.5", "1e-3", "10", "[0,1]", "[0.1,0.2]"]
"""Values that many settings take."""
PREFIXES = ["", "", "", "", "", "", "+", "++", "~"]


def settings_of(choice: str | None) -> st.SearchStrategy[str]:
    """An override of one of the settings that there are with a choice, or of one that there is not."""
    keys = KEYS if choice is None else KEYS + 3 * FIELDS.get(choice, [])
    values = st.one_of(st.sampled_from(ORDINARY), st.sampled_from(VALUES))
    return st.tuples(st.sampled_from(PREFIXES), st.sampled_from(keys), values).map(
        lambda parts: f"{parts[0]}{parts[1]}={parts[2]}"
    )


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A valid choice or none, settings of it, now and then a wrong choice, a second one, or any text at all."""
    choice = draw(st.sampled_from([None, *CHOICES]))
    line = [choice] if choice else []
    line += draw(st.lists(settings_of(choice), max_size=3))
    odd = draw(st.integers(0, 9))
    if odd == 0:
        line.append(draw(st.text(max_size=30)))
    elif odd == 1:
        line.append("=".join(draw(st.tuples(st.sampled_from(GROUPS), st.sampled_from(VALUES)))))
    elif odd == 2:
        line.append(draw(st.sampled_from(CHOICES)))
    return draw(st.permutations(line))


def one_line(error: RunnerError) -> None:
    """An error that may be shown: one line, not too long, with exit code 2."""
    line = "error: " + " ".join(str(error).split())

    assert error.exit_code == 2
    assert len(line) <= 400, line
    assert "Traceback" not in line


def check(overrides: list[str], *, config_dirs: tuple[str, ...] = ()) -> bool:
    """Compose and prepare; the only error there may be is one readable line. Whether it was accepted."""
    before = sorted(Path.cwd().iterdir())
    accepted = False
    try:
        config = declare(overrides, config_dirs=config_dirs).config
        accepted = True
        if small(config):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConfigWarning)
                Preparation(config)
    except ConfigError as error:
        one_line(error)
    assert sorted(Path.cwd().iterdir()) == before
    return accepted


def small(config: RunConfig) -> bool:
    """Whether preparing it takes no account, no extra package and not much time."""
    return (
        config.backend.name not in ("ibm", "best")
        and config.hamiltonian.name not in ("molecule", "beh2", "h2o", "h4", "hydrogen")
        and config.experiment.name not in ("vqd", "dissociation_curve", "adapt_vqe")
    )


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(overrides=command_lines())
def test_any_command_line_is_a_declaration_or_one_line(workdir: Path, overrides: list[str]) -> None:
    """Valid and invalid overrides in any mixture."""
    check(overrides)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_twenty_thousand_command_lines(workdir: Path, part: int) -> None:
    """The same, a thousand times with a seed of its own."""
    count = [0, 0]

    @seed(part)
    @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(overrides=command_lines())
    def cases(overrides: list[str]) -> None:
        count[check(overrides)] += 1

    cases()
    print(f"part {part}: {count[0]} refused, {count[1]} accepted")
    assert sum(count) >= CASES


def mutated(text: str, rng: random.Random) -> bytes:
    """A YAML file after one to three accidents."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines)) if lines else 0
        match rng.randrange(8):
            case 0 if lines:
                del lines[at]
            case 1 if lines:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2 if lines:
                key = lines[at].partition(":")[0]
                lines[at] = f"{key}: {rng.choice(VALUES)}"
            case 3 if lines:
                cut = rng.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + rng.choice("\t:[]{}&*!|>'\"%@`#-? \0é") + lines[at][cut:]
            case 4 if lines:
                lines[at] = rng.choice([" ", "  ", "\t", "- "]) + lines[at]
            case 5:
                lines.insert(at, f"{rng.choice(KEYS)}: {rng.choice(VALUES)}")
            case 6 if lines:
                lines[at] = lines[at][: len(lines[at]) // 2]
            case 7:
                return "\n".join(lines).encode(rng.choice(["utf-16", "latin-1", "utf-8-sig"]), "replace")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def check_files(folder: Path, first: int, count: int) -> list[int]:
    """Declare choices from damaged files of one's own; how many were refused and accepted."""
    found = [0, 0]
    for number in range(first, first + count):
        rng = random.Random(number)
        group = rng.choice(GROUPS)
        path = rng.choice(sorted((CONF / group).glob("*.yaml")))
        place = folder / "mine" / group
        place.mkdir(parents=True, exist_ok=True)
        (place / "mine.yaml").write_bytes(mutated(path.read_text("utf-8"), rng))
        try:
            found[check([f"{group}=mine"], config_dirs=("mine",))] += 1
        except BaseException:
            print(f"file {number}, a mutation of {path.relative_to(CONF)}:")
            print((place / "mine.yaml").read_text("utf-8", "replace"))
            raise
        (place / "mine.yaml").unlink()
    return found


def test_any_file_is_a_declaration_or_one_line(workdir: Path) -> None:
    """Shipped choices, damaged: lines lost, repeated or moved, values and characters that do not belong there."""
    refused, accepted = check_files(workdir, 0, 8)

    assert refused + accepted == 8
    assert refused > 2


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_a_thousand_files(workdir: Path, part: int) -> None:
    """The same, fifty at a time."""
    print(f"part {part}: refused and accepted:", check_files(workdir, 1000 + 50 * part, 50))

"""G15: what is stored is true, what leaves is clean; a configuration that holds a secret is refused."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import compose, resume, run
from runner.__main__ import main
from runner.record.journal import read_journal
from runner.run.context import Lab
from runner.tracking import TrackingConfig, sync

CANARY = "CaNaRy0123456789abcdefghijklmnopqrstuvwxyz_-"
QUIET = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=3")
CLOCKS = ("wall_seconds", "directory", "t", "pid", "crc", "run_id")


@contextmanager
def environment(variables):
    """Some more environment variables, for as long as it is entered."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def facts(directory: Path) -> list:
    """What a run recorded, without what the wall clock and the process add to it."""
    told = [
        event.said()
        for event in read_journal(directory / "journal.jsonl").events
        if event.kind != "run.resumed"
    ]
    told.append(json.loads((directory / "result.json").read_text()))
    return [_timeless(event) for event in told]


def _timeless(value):
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in (*CLOCKS, "seq")}
    return value


NAMES = st.sampled_from(
    ["MY_TOKEN", "DB_PASS", "SIGNING_KEY", "A_SECRET", "PASSPHRASE", "GOOGLE_CREDENTIALS"]
)
WORDS = st.one_of(
    st.sampled_from([
        "efficient_su2", "optimization_level", "sqlite", "two_qubit", "real_amplitudes", "premium", "0.25", "job",
        "measurement", "statevector", "max_evaluations", "DONE",
    ]),
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=50).map(lambda text: f"x{text}"),
)  # fmt: skip
ENVIRONMENTS = st.dictionaries(NAMES, WORDS)
CONFIGURATIONS = st.tuples(
    st.sampled_from(["ansatz=efficient_su2", "ansatz=real_amplitudes", "ansatz=n_local"]),
    st.sampled_from(["optimizer=nft", "optimizer=spsa", "optimizer=cobyla"]),
    st.sampled_from(["name=null", f"name={'AbCdEf0123' * 4}Ab_1", "name=postgres", "name=token"]),
    st.integers(0, 2**63 - 1).map(lambda seed: f"seed={seed}"),
)


@settings(max_examples=3, deadline=None)
@given(before=ENVIRONMENTS, after=ENVIRONMENTS, words=CONFIGURATIONS, cut=st.floats(0, 1))
def test_G15_whatever_the_environment_a_killed_run_resumes_to_the_same_bits(before, after, words, cut):
    """K8: random environments, another one for the resume: config.yaml and journal are never rewritten by them."""
    with TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole"), Path(folder, "broken")
        config = compose(*QUIET, *words)
        with environment(before):
            run(config, directory=str(whole))
        shutil.copytree(whole, broken)
        lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
        (broken / "journal.jsonl").write_bytes(b"".join(lines[: 1 + int(cut * (len(lines) - 3))]))
        with environment(after):
            resume(broken)

        assert facts(broken) == facts(whole)
        assert (broken / "config.yaml").read_bytes() == (whole / "config.yaml").read_bytes()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MY_API_KEY", CANARY, [f"name={CANARY}"]),
        ("MY_API_KEY", CANARY, [f"tracking.experiment=of-{CANARY}"]),
        ("DB_PASS", CANARY, [f"tracking.artifacts=outputs/{CANARY}"]),
        ("MY_SECRET", CANARY, ["hydra.run.dir='outputs/${oc.env:MY_SECRET}'"]),
        ("MY_SECRET", "short", ["hydra.run.dir='outputs/${oc.env:MY_SECRET}'"]),
        ("MY_TOKEN", CANARY, [f"hydra.run.dir=outputs/{CANARY}"]),
        ("MY_TOKEN", CANARY, ["-m", "seed=1,2", f"hydra.sweep.dir=outputs/{CANARY}"]),
        ("MY_TOKEN", CANARY, ["-m", f"name=a,{CANARY}"]),
        ("DATABASE_URL", f"postgresql://me:{CANARY}@host/db", [f"name={CANARY}"]),
        ("NOTHING", "", [f"tracking.uri=https://me:{CANARY}@host"]),
        ("NOTHING", "", [f"tracking.experiment=https://me:{CANARY}@host"]),
        ("NOTHING", "", [f"tracking.uri=http://127.0.0.1:1/?token={CANARY[:9]}"]),
        ("NOTHING", "", [f"tracking.uri=postgresql://host/db?user=me&password={CANARY[:5]}"]),
        ("NOTHING", "", [f"tracking.experiment=see https://host/x?a=1;api_key={CANARY}#there"]),
        ("NOTHING", "", ["name=ghp_0123456789abcdefghijklmnopqrst"]),
        ("NOTHING", "", [f"+backend.token={CANARY}"]),
    ],
)
def test_G15_declared_secrets_are_refused(workdir, monkeypatch, capfd, name, value, words):
    """K6: a secret anywhere in a configuration: one line with the key, without the secret, and nothing is created."""
    monkeypatch.setenv(name, value)
    done = main([*QUIET, *words] if "tracking" not in str(words) else [QUIET[1], *words])
    said = "".join(capfd.readouterr())

    key = next(word for word in words if "=" in word and ("seed" not in word)).lstrip("+").partition("=")[0]
    assert done == 2
    assert said.startswith(f"error: {key}: ")
    assert said.count("\n") == 1
    assert CANARY not in said
    assert list(workdir.iterdir()) == []


def test_G15_a_word_of_ours_in_a_variable_changes_nothing(workdir, monkeypatch, capfd):
    """K7, K8: POSTGRES_PASSWORD=postgres and MY_API_TOKEN=efficient_su2: neither rewrites anything."""
    monkeypatch.setenv("POSTGRES_PASSWORD", "postgres")
    monkeypatch.setenv("MY_API_TOKEN", "efficient_su2")
    uri = "postgresql://me@host/db"
    words = [*QUIET[1:], f"tracking.uri={uri}", "tracking.enabled=false", f"hydra.run.dir={workdir}/run"]

    assert main([*words, "--cfg", "job"]) == 0
    assert f"uri: {uri}\n" in capfd.readouterr().out  # can be piped into a file and used
    assert main([*words, f"name={'AbCdEf0123' * 4}Ab_1"]) == 0
    stored = (workdir / "run/config.yaml").read_text()
    started = read_journal(workdir / "run/journal.jsonl").events[0]
    assert f"uri: {uri}\n" in stored
    assert "name: efficient_su2\n" in stored
    assert started.config["tracking"]["uri"] == uri
    assert "[redacted]" not in stored + (workdir / "run/journal.jsonl").read_text()
    assert "[redacted]" not in "".join(capfd.readouterr())


def test_G15_what_leaves_a_run_is_clean(workdir, monkeypatch, capfd, empty_store):
    """K9: a secret that an error told: not in the journal, report, log, terminal, MLflow's database or its files."""

    def fails(*_, **__):
        raise ValueError(f"could not log in at postgresql://me:{CANARY}@host with {CANARY}")

    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{CANARY}@host/db")
    monkeypatch.setattr(Lab, "minimize", fails)
    empty_store(workdir / "mlflow.db")
    done = main(["tracking.enabled=false", f"hydra.run.dir={workdir}/run", "optimizer.max_evaluations=3"])
    store = TrackingConfig(uri=f"sqlite:///{workdir}/mlflow.db", artifacts=f"{workdir}/artifacts")
    report = sync(workdir / "run", store)
    written = [path for path in workdir.rglob("*") if path.is_file()]

    assert (done, report.state) == (1, "synced")
    assert "could not log in at" in (workdir / "run/result.json").read_text()
    assert CANARY not in "".join(capfd.readouterr())
    assert {"journal.jsonl", "report.html", "mlflow.db", "evaluations.json"} <= {
        path.name for path in written
    }
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []


def test_G15_a_secret_that_came_later_does_not_leave_either(workdir, monkeypatch, capfd, empty_store):
    """K9: the name of an old run is a secret now: stored as it was, and clean in MLflow."""
    assert main([*QUIET, f"name={CANARY}", f"hydra.run.dir={workdir}/run"]) == 0
    monkeypatch.setenv("MY_API_KEY", CANARY)
    empty_store(workdir / "mlflow.db")
    store = TrackingConfig(uri=f"sqlite:///{workdir}/mlflow.db", artifacts=f"{workdir}/artifacts")
    capfd.readouterr()

    assert sync(workdir / "run", store).state == "synced"
    assert CANARY in (workdir / "run/config.yaml").read_text()
    outside = [*(workdir / "artifacts").rglob("*"), *workdir.glob("mlflow.db*")]
    assert [path for path in outside if path.is_file() and CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in "".join(capfd.readouterr())


def test_K6_a_secret_in_the_name_of_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its path would be stored with every run; blanks around the variable's value make no difference."""
    folder = tmp_path / "Zq9xk2mV7bLp4sT8"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("GITHUB_PAT", "DB_AUTH"):
        monkeypatch.setenv(name, "Zq9xk2mV7bLp4sT8 \r")
    assert main(["tracking=off"]) == 2
    assert main(["-m", "tracking=off", "seed=1,2"]) == 2
    assert main(["sync", "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("the current folder: has a name that holds") == 3
    assert "Zq9xk2mV7bLp4sT8" not in said
    assert list(folder.iterdir()) == []

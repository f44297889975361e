"""Redaction: what looks like a secret goes, what a physicist wrote stays."""

from __future__ import annotations

import json
import logging

import pytest

from runner.declare.checks import shorten
from runner.errors import LONGEST, ConfigError
from runner.record.redaction import (
    RedactingFormatter,
    protect,
    protect_environment,
    protect_saved,
    redact,
    redact_value,
    secret_in,
)

CANARY = "CaNaRy0123456789abcdefghijklmnopqrstuvwxyz_-"


@pytest.mark.parametrize(
    "text",
    [
        f"token: {CANARY}",
        f'{{"api_key": "{CANARY[:12]}"}}',
        f"QISKIT_IBM_TOKEN={CANARY[:20]}",
        f"Authorization: Bearer {CANARY[:30]}",
        f"postgresql://user:{CANARY[:9]}@host/db",
        f"https://{CANARY[:9]}@host/path",
        f"crn:v1:bluemix:public:quantum-computing:us-east:a/{CANARY[:9]}::",
        f"eyJhbGciOiJIUzI1NiJ9.{CANARY[:12]}.{CANARY[12:30]}",
        f"ghp_{CANARY[:30]}",
    ],
)
def test_secrets_go(text):
    """No shape of secret survives, and what is said around it does not change."""
    assert CANARY[:9] not in redact(text)
    assert redact(redact(text)) == redact(text)


def test_json_stays_json():
    """Whatever is replaced inside a JSON text, it can still be read."""
    key = "-----BEGIN PRIVATE KEY-----\n" + CANARY
    value = {"a": [f"crn:v1:{CANARY}", key, f"token={CANARY}"], "b": f"https://me:{CANARY}@host", "c": 1.5}
    text = redact(json.dumps(value))

    assert CANARY not in text
    assert json.loads(text)["c"] == 1.5


@pytest.mark.parametrize(
    "text",
    [
        "energy −1.1372838 Ha after 120 evaluations",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "0f2a7c1e-8d43-4b6a-9c55-000000000001",
        "sqlite:///outputs/mlflow.db",
        "https://mlflow.example.org:5000/path?x=1",
        "token: null",
        "max_tokens: 40960",
        "basic simulator with efficient_su2",
        "MeasurementOfTheDay0123456789abcdefghijklmno",  # 44 letters, as many as a key of IBM Cloud has
        "python -m runner experiment=vqe hamiltonian=h2 optimizer.max_evaluations=200",
    ],
)
def test_everything_else_stays(text):
    """Numbers, digests, ids, plain addresses and commands are left alone."""
    assert redact(text) == text


def test_named_values_go_from_mappings():
    """A value under a name that says secret is not shown, however harmless it looks."""
    value = {"backend": {"token": "abc", "name": "ibm_torino", "shots": 3}, "tags": ["x", f"token={CANARY}"]}

    assert redact_value(value) == {
        "backend": {"token": "[redacted]", "name": "ibm_torino", "shots": 3},
        "tags": ["x", "token=[redacted]"],
    }


def test_known_secrets_go_wherever_they_are():
    """A token that was read from an account is never written, in any surroundings."""
    protect("deadbeefdeadbeef42")

    assert redact("job xdeadbeefdeadbeef42x failed") == "job x[redacted]x failed"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("AZURE_STORAGE_KEY", "azure storage words", "azure storage words"),
        ("SIGNING_KEY", "the signing words", "the signing words"),
        ("GPG_PASSPHRASE", "eight words of no meaning", "eight words of no meaning"),
        ("DB_PASS", "words for the database", "words for the database"),
        ("some_credentials", "words in small letters", "words in small letters"),
        ("DATABASE_URL", "postgresql://me:tortoise-and-hare@host:5432/db", "tortoise-and-hare"),
        ("HTTPS_PROXY", "http://me:tortoise%40and%40hare@host", "tortoise@and@hare"),
        ("REPOSITORY", "see https://a-lonely-token-for-git@host/x", "a-lonely-token-for-git"),
        ("SERVICE_CREDENTIAL", "the-first-of-two\nthe-second-of-two\n", "the-second-of-two"),
    ],
    ids=range(9),  # pytest puts what a test is called into the environment
)
def test_variables_are_known_by_their_names(monkeypatch, name, value, secret):
    """K7: what names and addresses promise to be secret does not leave, in any surroundings."""
    assert redact(f"it says {secret}!") == f"it says {secret}!"
    monkeypatch.setenv(name, value)
    protect_environment()

    assert redact(f"it says {secret}!") == "it says [redacted]!"
    assert secret_in(secret).endswith(name)


def test_what_is_cut_is_cleaned_before(monkeypatch):
    """K9: half a secret is known no more: a shortened word, a refusal that is too long, a difference of a resume."""
    monkeypatch.setenv("AZURE_STORAGE_KEY", "CANARYkeyCCCC3333==")
    protect_environment()
    long = ("x" * (LONGEST // 2 - 9) + "CANARYkeyCCCC3333==" + "x" * LONGEST, "y" * LONGEST)
    texts = [
        *(shorten("name=xCANARYkeyCCCC3333==y", width) for width in range(8, 40)),
        *(str(ConfigError("".join(parts))) for parts in (long, long[::-1])),
    ]

    assert not [text for text in texts if "CANARY" in text]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PASSWORD", "postgres"),  # 8 characters, and in every address of such a database
        ("MY_API_TOKEN", "efficient_su2"),  # a choice
        ("MY_API_TOKEN", "parameter_shift"),  # a word of presets and schemas
        ("SECRET_SEED", "123456789012.5"),  # a number: it could be anybody's
        ("SSH_ASKPASS", "/usr/bin/env"),  # a path that is there
        ("KEYBOARD", "pc105-us"),
        ("EDITOR_THEME", "solarized-dark-high-contrast"),
    ],
)
def test_words_that_stand_anywhere_are_no_secrets(monkeypatch, name, value):
    """K7: short values, words of our own choices, numbers and paths are left in every text."""
    monkeypatch.setenv(name, value)
    protect_environment()

    assert redact(f"it says {value}://x {value}") == f"it says {value}://x {value}"
    assert secret_in(value) is None


def test_log_lines_are_redacted():
    """The formatter redacts the message, its arguments and the traceback."""
    try:
        raise ValueError(f"token={CANARY}")
    except ValueError as error:
        record = logging.LogRecord(
            "x",
            logging.ERROR,
            "f",
            1,
            "at %s",
            (f"password={CANARY}",),
            (ValueError, error, error.__traceback__),
        )

    assert CANARY not in RedactingFormatter().format(record)


def test_what_clients_find_in_their_usual_places_is_known(tmp_path, monkeypatch):
    """K7: accounts of IBM, MLflow and AWS, and variables set meanwhile; words that no pattern would recognise."""
    words = {name: f"plain {name} words" for name in ("ibm", "mlflow", "aws", "variable")}
    (tmp_path / ".qiskit").mkdir()
    account = {"default": {"channel": "ibm_quantum_platform", "token": words["ibm"]}}
    (tmp_path / ".qiskit" / "qiskit-ibm.json").write_text(json.dumps(account))
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username = somebody\nmlflow_tracking_password = {words['mlflow']}\n"
    )
    (tmp_path / "aws").write_text(f"[default]\naws_secret_access_key = {words['aws']}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", words["variable"])
    text = f"somebody said: {'; '.join(words.values())}"
    before = redact(text)
    protect_saved()

    assert before == text
    assert redact(text) == "somebody said: [redacted]; [redacted]; [redacted]; [redacted]"


def test_damaged_account_files_are_not_our_business(tmp_path, monkeypatch):
    """The client that needs them says what is wrong with them."""
    (tmp_path / ".qiskit").mkdir()
    (tmp_path / ".qiskit" / "qiskit-ibm.json").write_text('{"default": 3, "broken"')
    (tmp_path / "aws").write_bytes(b"no section = \xff")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))

    protect_saved()
    assert redact("no section") == "no section"

"""The MLflow store: set up once, never waited for in vain; the only place that imports MLflow."""

from __future__ import annotations

import atexit
import contextlib
import http
import importlib
import logging
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from runner.errors import StorageError
from runner.record import faults
from runner.record.lock import lock
from runner.record.redaction import protect_saved, redact
from runner.tracking import tables
from runner.tracking.views import RUNS, View, runs_page

REQUEST_TIMEOUT = 10
"""Seconds a tracking server has to answer; a run waits much shorter for the process that asks."""

PROBE_TIMEOUT = 2
"""Seconds it has to say that it is alive while a run goes on; whoever syncs by hand gives it the time above."""

ID_TAG = "runner.run_id"
"""The tag by which a run is found again."""

JOURNAL_TAG = "runner.journal"
"""The tag that says of which journal it is: how many lines it had, and the checksum of the last."""

CLAIM_TAG = "runner.uploader"
"""The tag that says who brings the run in: a token of the process, and the lines of its journal that are there."""

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Tells MLflow's pages to show runs with metrics, not traces of language models."""

BATCH = 1000
"""Metric values in one request; MLflow's own limit."""

CERTIFICATE = (
    "set MLFLOW_TRACKING_SERVER_CERT_PATH or REQUESTS_CA_BUNDLE to the file of a certificate it can show"
)
PROXY = "mend HTTPS_PROXY or HTTP_PROXY, or name the server in NO_PROXY"
ADVICE = {
    http.HTTPStatus.UNAUTHORIZED: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    http.HTTPStatus.FORBIDDEN: "set MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN of somebody who may record there",
    http.HTTPStatus.NOT_FOUND: "tracking.uri must be the address of an MLflow tracking server",
    http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "put user and password into HTTPS_PROXY or HTTP_PROXY",
}
"""What to do about an answer."""

log = logging.getLogger("runner.tracking")


class StoreError(Exception):
    """The store did not take it; trying again later may help."""


class NotOursError(StoreError):
    """The MLflow run is another journal's; trying again helps only once something is done about that."""


class Store:
    """One experiment of an MLflow store; every call is announced to `on_request` before and after.

    Args:
        uri: address, see `absolute`.
        artifacts: folder for files, where the store is a database.
        experiment: name of the MLflow experiment, made if it is missing.
        on_request: called with True before every request and with False after it.
        live: a run is going on, so a server that does not answer at once is left alone.
    """

    def __init__(
        self,
        uri: str,
        artifacts: str,
        experiment: str,
        on_request: Callable[[bool], None] = lambda _: None,
        *,
        live: bool = False,
    ) -> None:
        self._on_request = on_request
        self._uri = uri
        protect_saved()  # MLflow will read them
        if is_server(uri):
            self._call(probe, uri, PROBE_TIMEOUT if live else REQUEST_TIMEOUT)
        load(uri)  # seconds that say nothing about the store's health
        if is_server(uri):
            self._call(admitted, uri)
        folder = Path(artifacts).absolute()
        with _alone(uri):
            self._client, self._note = self._call(_connect, reachable(uri), folder)
            place = None if is_server(uri) else folder.as_uri()
            self._experiment_id = self._call(_experiment, self._client, experiment, place)

    @property
    def experiment_id(self) -> str:
        """The MLflow experiment's id."""
        return self._experiment_id

    @property
    def note(self) -> str:
        """What was done about a store that could not be used, in one line; usually empty."""
        return self._note

    def keep_view(self, view: View) -> None:
        """Give the experiment a view under its key, unless there is one that somebody may have edited."""
        known = self._call(self._client.get_experiment, self._experiment_id).tags
        key, value = view.tag(int(time.time() * 1000))
        if key not in known:
            self._call(self._client.set_experiment_tag, self._experiment_id, key, value)

    def find_run(self, run_id: str) -> str | None:
        """The MLflow run that carries our id, if there is one."""
        found = self._call(
            self._client.search_runs,
            [self._experiment_id],
            filter_string=f"tags.`{ID_TAG}` = '{run_id}'",
            max_results=1,
        )
        return found[0].info.run_id if found else None

    def tags(self, mlflow_run_id: str) -> Mapping[str, str]:
        """The tags of a run."""
        found: Mapping[str, str] = self._call(self._client.get_run, mlflow_run_id).data.tags
        return found

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else look at a database file and write to it by what they saw; a server has no such lock."""
        with _alone(self._uri):
            yield

    def create_run(self, run_id: str, name: str, started: float, tags: Mapping[str, str]) -> str:
        """A new MLflow run that carries our id from its first moment."""
        run = self._call(
            self._client.create_run,
            self._experiment_id,
            start_time=int(started * 1000),
            tags={**tags, ID_TAG: run_id},
            run_name=name,
        )
        return str(run.info.run_id)

    def metrics(
        self,
        mlflow_run_id: str,
        points: Sequence[tuple[str, float, int, int]],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Store metric values (key, value, milliseconds, step), at most `BATCH`, and tags; repeats change nothing."""
        from mlflow.entities import Metric, RunTag

        self._call(
            self._client.log_batch,
            mlflow_run_id,
            metrics=[Metric(*point) for point in points],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )

    def measured(self, mlflow_run_id: str) -> Collection[str]:
        """The keys of the metrics that a run has."""
        found: Collection[str] = self._call(self._client.get_run, mlflow_run_id).data.metrics.keys()
        return found

    def describe(self, mlflow_run_id: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Store tags, and those parameters that the run does not have yet."""
        from mlflow.entities import Param, RunTag

        known = self._call(self._client.get_run, mlflow_run_id).data.params if parameters else {}
        fresh = [Param(key, value) for key, value in parameters.items() if key not in known]
        labels = [RunTag(key, value) for key, value in tags.items()]
        for start in range(0, max(len(fresh), len(labels)), 100):
            self._call(
                self._client.log_batch,
                mlflow_run_id,
                params=fresh[start : start + 100],
                tags=labels[start : start + 100],
            )

    def artifacts(self, mlflow_run_id: str, folder: Path) -> None:
        """Store every file in `folder`, under the same relative names."""
        self._call(self._client.log_artifacts, mlflow_run_id, str(folder))

    def folder(self, mlflow_run_id: str) -> Path | None:
        """Where a run's files lie, if that is on this machine and, like a database file, one person's own."""
        if not self._uri.startswith("sqlite"):
            return None
        place = urlsplit(self._call(self._client.get_run, mlflow_run_id).info.artifact_uri)
        return Path(unquote(place.path)) if place.scheme == "file" and not place.netloc else None

    def set_status(self, mlflow_run_id: str, status: str, ended: float | None) -> None:
        """Mark a run as RUNNING again, or as ended at a time."""
        if ended is None:
            self._call(self._client.update_run, mlflow_run_id, status=status)
        else:
            self._call(self._client.set_terminated, mlflow_run_id, status, int(ended * 1000))

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make one request; whatever goes wrong with it is a StoreError of one line."""
        self._on_request(True)
        try:
            faults.reach("before_request")
            answer = function(*args, **kwargs)
            faults.reach("after_request")
            return answer
        except StoreError:
            raise
        except Exception as error:
            log.debug("request failed", exc_info=True)
            raise StoreError(_one_line(error)) from error
        finally:
            self._on_request(False)


def absolute(uri: str, base: Path | None = None) -> str:
    """A store's address that means the same from every folder, whatever the folder's name holds."""
    head, separator, path = uri.partition(":///")
    if not head.startswith("sqlite") or not separator or path.startswith("/"):
        return uri
    folder = str((base or Path.cwd()).absolute())
    for character in ("%", "?"):  # they mean something in an address
        folder = folder.replace(character, f"%{ord(character):02X}")
    return f"{head}:///{folder}/{path}"


@cache
def reachable(uri: str) -> str:
    """The address for MLflow, which takes a folder's name in it apart in more than one way: if need be, by a link."""
    if not uri.startswith("sqlite") or "%" not in uri.partition("?")[0]:
        return uri
    path = _database(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="runner-store-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "folder").symlink_to(path.parent, target_is_directory=True)
    return f"sqlite:///{home}/folder/{quote(path.name)}"


def is_server(uri: str) -> bool:
    """Whether a tracking server stands between us and the store."""
    return uri.startswith("http")


def probe(uri: str, seconds: float) -> None:
    """Ask a tracking server whether it is alive, as MLflow's client would but before MLflow is imported.

    Args:
        uri: its address.
        seconds: it has to answer; a shorter MLFLOW_HTTP_REQUEST_TIMEOUT counts instead.

    Raises:
        StoreError: it did not answer, is not trusted, or answered that it cannot.
    """
    import requests

    seconds = min(seconds, float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", seconds)))
    host = _host(uri)
    _quiet_about_certificates()
    try:
        answer = requests.get(
            uri.rstrip("/") + "/health",
            timeout=seconds,
            allow_redirects=False,  # to where somebody logs in, say: it is alive
            verify=_verification(),
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        )
    except requests.exceptions.ProxyError as error:
        raise StoreError(
            f"the proxy before {host} does not pass it on ({_innermost(error)}); {PROXY}"
        ) from error
    except requests.exceptions.SSLError as error:
        raise StoreError(f"{host} is not trusted ({_innermost(error)}); {CERTIFICATE}") from error
    except requests.exceptions.RequestException as error:
        raise StoreError(f"{host} does not answer ({_innermost(error)})") from error
    except OSError as error:  # a certificate's file
        raise StoreError(f"{_one_line(error)}; {CERTIFICATE}") from error
    if answer.status_code >= 500 or answer.status_code == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise StoreError(_refused(uri, answer.status_code))


def _refused(uri: str, status: int) -> str:
    """What a server's answer of this status means, and what to do about it."""
    words = http.HTTPStatus(status).phrase.lower() if status in list(http.HTTPStatus) else "no known status"
    advice = ADVICE.get(http.HTTPStatus(status)) if status in ADVICE else "try again later"
    return f"{_host(uri)} answers with status {status} ({words}); {advice}"


def _host(uri: str) -> str:
    address = urlsplit(uri)
    return redact(f"{address.scheme}://{address.hostname}:{address.port or ''}".rstrip(":"))


def _verification() -> bool | str:
    """How MLflow's client is told to verify a server's certificate."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True


def _innermost(error: BaseException) -> str:
    """What is the matter below all layers of a client."""
    while (inner := error.__cause__ or error.__context__ or _argument(error)) is not None:
        error = inner
    said = _one_line(error) if not isinstance(error, OSError) else error.strerror or str(error)
    return redact(said.rpartition("] ")[2].partition(" (_ssl")[0].lower())


def _argument(error: BaseException) -> BaseException | None:
    """The error an error was made of, where it was not raised from it."""
    found = [getattr(error, "reason", None), *error.args]
    return next((item for item in found if isinstance(item, BaseException)), None)


def admitted(uri: str) -> None:
    """Ask a tracking server through MLflow's own client for something it answers only those who may record there.

    Raises:
        StoreError: it refuses, with the status it answers.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    answer = http_request(
        get_default_host_creds(uri),
        "/api/2.0/mlflow/experiments/search",
        "POST",
        json={"max_results": 1},
        raise_on_status=False,
    )
    if answer.status_code != http.HTTPStatus.OK:
        raise StoreError(_refused(uri, answer.status_code))


def load(uri: str) -> None:
    """Import what a store at this address needs, which takes seconds the first time."""
    _calm()
    importlib.import_module("mlflow" if is_server(uri) else "mlflow.store.tracking.sqlalchemy_store")


def _calm() -> None:
    """Keep MLflow from retrying for minutes, from calling home, and from writing to the terminal."""
    settings = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    _quiet_about_certificates()
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # it writes the traceback of what it raises


def _quiet_about_certificates() -> None:
    """Not to verify them was asked for, where it is so."""
    if _verification() is False:
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")


def _connect(uri: str, folder: Path) -> tuple[Any, str]:
    """A client, and what was done about a store left half made; a new database gets its tables, files go to `folder`.

    Raises:
        StoreError: its tables are half changed, and something is recorded in it.
    """
    from mlflow import MlflowClient

    if not uri.startswith("sqlite"):
        return MlflowClient(tracking_uri=uri, registry_uri=uri), ""
    path = _database(uri)
    note = _set_up(path, uri, folder)
    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri), note
    except Exception as error:
        raise _half_changed(path, error) from error


def _set_up(path: Path, uri: str, folder: Path) -> str:
    """Give a database file its tables, where it lacks them; the file's lock is held. What is to be told, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = None if tables.is_lacking(path) else tables.move_aside(path)
    if tables.is_lacking(path):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        tables.make(path, uri, lambda address: SqlAlchemyStore(address, folder.as_uri()).engine.dispose())
    if aside is None:
        return ""
    return f"{path} was left half made by a process that was killed; it held nothing and is now {aside}"


def made_whole(uri: str, artifacts: str) -> str:
    """Give a store in a file its tables before somebody else opens it; what is to be told of that, or nothing.

    Args:
        uri: its address, see `absolute`.
        artifacts: folder for files.

    Raises:
        StoreError: it cannot be written.
    """
    if not uri.startswith("sqlite"):
        return ""
    path = _database(uri)
    if not (tables.is_lacking(path) or tables.is_half_made(path)):
        return ""  # which takes no time, while loading MLflow takes seconds
    load(uri)
    with _alone(uri):
        return _set_up(path, reachable(uri), Path(artifacts).absolute())


def half_changed(uri: str, said: str) -> StoreError | None:
    """What to do where somebody was killed while a store's tables were brought up to date; None where it is not that.

    Args:
        uri: of the store.
        said: what MLflow says of it.
    """
    line = next((line for line in said.splitlines() if re.search(_HALF_CHANGED, line)), None)
    if line is None or not uri.startswith("sqlite"):
        return None
    return _told_half_changed(_database(uri), RuntimeError(line.strip()))


_HALF_CHANGED = r"already exists|duplicate column|_alembic_tmp_"


def _half_changed(path: Path, error: Exception) -> Exception:
    """The error itself, or what to do where somebody was killed while the tables were brought up to date."""
    first = str(error).partition("\n")[0]
    return _told_half_changed(path, error) if re.search(_HALF_CHANGED, first) else error


def _told_half_changed(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the tables of {path} are half changed ({_one_line(error)}) and something may be recorded in it, so it is "
        f"left as it is; put a copy from before in its place, or move it away: syncing again makes a new one, and "
        "the journals hold every run"
    )


def _experiment(client: Any, name: str, folder: str | None) -> str:
    """The id of the experiment of this name, made if it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(name, artifact_location=folder, tags=EXPERIMENT_TAGS)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise StoreError(f"experiment {name!r} was deleted in MLflow; restore it or set tracking.experiment")
    number = str(found.experiment_id)
    note = f"[Runs by energy, error and usage](#{runs_page(number)})"
    for key, value in (RUNS.tag(int(time.time() * 1000)), ("mlflow.note.content", note)):
        if key not in found.tags:  # what somebody has edited stays theirs
            client.set_experiment_tag(number, key, value)
    return number


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Hold a lock beside a database file: several processes creating its tables at once would break it.

    Raises:
        StoreError: there can be no file.
    """
    if not uri.startswith("sqlite"):
        yield
        return
    database = _database(uri)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(
            database.with_name(f".{database.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        what = error.filename or database
        raise StoreError(f"{what} cannot be written: {(error.strerror or str(error)).lower()}") from error
    try:
        try:
            lock(descriptor, database, wait=None)
        except StorageError as error:
            raise StoreError(str(error)) from error
        yield
    finally:
        os.close(descriptor)


def _database(uri: str) -> Path:
    return Path(unquote(uri.partition(":///")[2].partition("?")[0]))


def _one_line(error: BaseException) -> str:
    """The first line of an error, without secrets and without the retry machinery's view of it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "HTTPConnectionPool" in lines[0] or "HTTPSConnectionPool" in lines[0]:
        return (
            "the server does not answer any more"
            if "timed out" not in lines[0]
            else "the server takes too long"
        )
    if "database is locked" in str(error):  # somewhere among what SQLAlchemy says of it
        return "another program keeps the database locked"
    cause = re.search(r"\(\w+\.\w*Error\) [^\n]*", str(error))  # the database's own words, among SQLAlchemy's
    return redact(cause[0] if cause else lines[0])[:200]

"""What the installed client's own classes do, beside what ours do: docs/session.md's table of comparison."""

from __future__ import annotations

import inspect
from functools import reduce
from typing import Any

import pytest
from qiskit.circuit import QuantumCircuit

from runner.errors import ConfigError
from runner.runtime import Batch, EstimatorV2, LocalRuntimeService, SamplerV2, Session, parse_duration
from runner.runtime.job import RuntimeJob
from runner.runtime.machine import status_text
from runner.runtime.options import EstimatorOptions, Options, SamplerOptions
from tests.runtime.fakes import PUB, fake_service

client = pytest.importorskip("qiskit_ibm_runtime")

pytestmark = pytest.mark.filterwarnings("ignore")


def client_backend() -> Any:
    """A backend the client accepts without a service."""
    from qiskit_aer import AerSimulator

    return AerSimulator()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Session, "Session"), (Batch, "Batch"), (EstimatorV2, "EstimatorV2"), (SamplerV2, "SamplerV2")],
)
def test_constructors_take_the_clients_arguments(ours: type, theirs: str) -> None:
    """The same names in the same order with the same defaults; ours may have more, by keyword."""
    mine = dict(inspect.signature(ours).parameters)
    for name, wanted in inspect.signature(getattr(client, theirs)).parameters.items():
        found = mine.pop(name)
        assert (found.kind, found.default) == (wanted.kind, wanted.default)

    assert all(extra.kind is inspect.Parameter.KEYWORD_ONLY for extra in mine.values())


@pytest.mark.parametrize(
    ("ours", "theirs", "left_out"),
    [
        (Session, "Session", set()),
        (Batch, "Batch", set()),
        (EstimatorV2, "EstimatorV2", {"version"}),
        (SamplerV2, "SamplerV2", {"version"}),
    ],
)
def test_methods_have_the_clients_names(ours: type, theirs: str, left_out: set[str]) -> None:
    """Every public member of the client's class is there."""
    names = {name for name in dir(getattr(client, theirs)) if not name.startswith("_")}

    assert names - left_out <= set(dir(ours))


def test_jobs_have_the_clients_methods() -> None:
    """Everything of the client's job but what belongs to its cloud."""
    theirs = {name for name in dir(client.RuntimeJobV2) if not name.startswith("_")}
    cloud = {
        "ERROR", "calibration_id", "cancel_result", "draw", "image", "inputs", "instance",
        "private", "properties", "queue_info", "queue_position", "runtime_image", "version", "submit",
    }  # fmt: skip

    assert theirs - set(dir(RuntimeJob)) <= cloud


@pytest.mark.parametrize(
    "given",
    [
        25, "25m", "8h", "1h 30m", "1h30m", "2h 30m 40s", "40s 1h", "1d", None,
        "1.5h", "-5m", "10x5m", "8hours",
        "90", "abc", "", "25 m", "1H", "1w", 12.5, ["1h"],
    ],
)  # fmt: skip
def test_S2_careless_reading_is_the_clients_reading(given: Any) -> None:
    """`strict=False` reads what the client reads and refuses what it refuses, in its words."""
    try:
        wanted = client.Session(client_backend(), max_time=given)._max_time
    except Exception as error:
        with pytest.raises((ValueError, TypeError)) as caught:
            parse_duration(given, strict=False)
        assert str(caught.value) in str(error)  # noqa: PT017 - two errors are compared
    else:
        assert parse_duration(given, strict=False) == wanted


def test_S2_zero_means_not_given_to_the_client_too() -> None:
    """It drops a zero from what it sends; strict refuses it."""
    assert parse_duration(0, strict=False) is None
    assert (
        Session(fake_service().backend("ideal"), max_time="1.5h", strict=False).details()["max_time"] == 18000
    )


@pytest.mark.parametrize("wrong", ["ibm_torino", None])
def test_S1_wrong_backends_get_the_same_text(wrong: Any) -> None:
    """Type and words."""
    errors = []
    for made in (client.Session, Session):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
            made(wrong)
        errors.append(str(caught.value))

    assert errors[0] == errors[1]


def test_S1_services_by_keyword_are_refused_alike() -> None:
    """`service=` has been gone since 0.34."""
    for made, backend in ((client.Session, client_backend()), (Session, fake_service().backend("ideal"))):
        with pytest.raises(TypeError, match="unexpected keyword argument 'service'"):
            made(backend, service=None)


def test_S10_primitives_without_mode_get_the_same_text() -> None:
    """Outside of a block, and for a mode that is none."""
    for name, ours in (("EstimatorV2", EstimatorV2), ("SamplerV2", SamplerV2)):
        for arguments in ((), ("ibm_torino",)):
            texts = []
            for made in (getattr(client, name), ours):
                with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
                    made(*arguments)
                texts.append(str(caught.value))
            assert texts[0] == texts[1]


def test_S10_the_client_forgets_the_outer_session() -> None:
    """Leaving an inner block, the client's outer one is gone; ours is back."""
    backend = client_backend()
    with client.Session(backend):
        with client.Session(backend):
            pass
        with pytest.raises(ValueError, match="must be specified"):
            client.SamplerV2()
    ours = fake_service().backend("ideal")
    with Session(ours) as outer:
        with Session(ours):
            pass
        assert SamplerV2().mode is outer


def test_S17_closed_sessions_refuse_in_the_same_words() -> None:
    """After `close()` through the same object."""
    made = QuantumCircuit(1)
    made.measure_all()
    theirs = client.Session(client_backend())
    theirs_primitive = client.SamplerV2(theirs)
    theirs.close()
    with pytest.raises(client.exceptions.IBMRuntimeError) as caught:
        theirs_primitive.run([made])
    ours = Session(fake_service().backend("ideal"))
    estimator = EstimatorV2(ours)
    ours.close()
    with pytest.raises(Exception, match=r"The session is closed\.") as mine:
        estimator.run([PUB])

    assert str(mine.value) in str(caught.value)


def test_S19_the_mapping_is_the_clients() -> None:
    """Every state, with and without accepting_jobs, through the client's own `status()`."""
    for state in ("open", "active", "inactive", "pending_inactive", "pending_closed", "closed"):
        for accepting in (True, False):
            answer = {"state": state, "accepting_jobs": accepting}
            session = object.__new__(client.Session)
            session._session_id = "id"
            session._instance = None
            session._service = object.__new__(client.QiskitRuntimeService)
            session._service._get_api_client = lambda _=None, answer=answer: _Api(answer)

            assert session.status() == status_text(state, accepting)


class _Api:
    """Answers every question about a session with the same details."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def session_details(self, _session_id: str) -> dict[str, Any]:
        """The details."""
        return self._answer


def test_S19_the_client_knows_nothing_locally() -> None:
    """Why this runtime exists: on a local backend everything is None."""
    session = client.Session(client_backend(), max_time=1)

    assert (session.session_id, session.status(), session.details(), session.usage()) == (None,) * 4


def option_names(group: Options) -> set[str]:
    """The names of all options, with their paths."""
    found = set()
    for name in (*group.FIELDS, *group.FIXED):
        value = getattr(group, name)
        found |= (
            {f"{name}.{inner}" for inner in option_names(value)} if isinstance(value, Options) else {name}
        )
    return found


@pytest.mark.parametrize("ours", [EstimatorOptions, SamplerOptions])
def test_P3_options_exist_in_the_client(ours: type[Options]) -> None:
    """No option is invented, but `resilience_level=0` etc. stay what they are called there."""
    client_side = pytest.importorskip(f"qiskit_ibm_runtime.options_models.{ours.__name__[:-7].lower()}")
    theirs = [getattr(family, ours.__name__)() for family in (client.options, client_side)]
    for path in option_names(ours()):
        *groups, name = path.split(".")
        places = [reduce(lambda place, group: getattr(place, group, None), groups, one) for one in theirs]

        assert any(hasattr(place, name) for place in places), path


def test_P3_default_shots_are_the_clients() -> None:
    """4096, and a precision of 1/64."""
    options = EstimatorOptions()

    assert (options.default_shots, options.default_precision) == (4096, 0.015625)


def test_service_calls_of_the_page_are_understood() -> None:
    """`least_busy(operational=True, simulator=False)`, which the client's local service refuses."""
    local = client.QiskitRuntimeService(channel="local")
    with pytest.raises(TypeError):
        local.least_busy(operational=True, simulator=False)

    assert LocalRuntimeService().least_busy(operational=True, simulator=False).num_qubits == 133


def test_errors_are_values_errors_where_the_clients_are() -> None:
    """`IBMInputValueError` is a ValueError, and so is ours."""
    assert issubclass(client.exceptions.IBMInputValueError, ValueError)
    assert issubclass(ConfigError, ValueError)

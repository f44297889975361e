"""What `python -m runner serve` can be told, and the environment it gives to the client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.declare.backend import BackendConfig, DeviceBackend, IdealBackend, NoisyBackend, snapshots
from runner.declare.checks import nearest, require_range
from runner.declare.composer import Composer, declare
from runner.declare.config import RunConfig
from runner.declare.messages import check_secrets
from runner.declare.overrides import Override, Overrides
from runner.errors import ConfigError
from runner.runtime.duration import parse_duration
from runner.runtime.plan import Plan

HOST = "127.0.0.1"
BASE = "/experimental"
"""Path of the API; the client takes a URL with this word in it as it is, port included."""

DEFAULTS = ("session=premium", "backend=fake_torino", "session.clock=wall", "session.clock_scale=60")
OPEN = ("session=batch", "session.plan=open")
"""A server on the Open plan: it has no dedicated sessions."""
GROUPS = ("session", "backend", "seed", "plugins")
OF_A_RUN = {
    "session.max_time": "each program gives its sessions their own",
    "session.max_usage": "limit what the instance may use with usage_limit=SECONDS",
    "session.max_cost": "limit what the instance may use with usage_limit=SECONDS",
    "session.on_expiry": "what comes after a session is up to each program",
    "session.latency": "programs take the time they take",
}
"""Settings of a run's session that a server has no use for, and what there is instead."""
MEGABYTE = 1 << 20


@dataclass(kw_only=True)
class ServeConfig:
    """One server: where it listens, what it keeps, and the runtime it serves."""

    run: RunConfig
    """Its `backend`, `session` and `seed` are the ones served; the rest is not looked at."""
    backends: Sequence[BackendConfig] = ()
    """All backends that are served, each with a queue of its own; empty: the one of `run`."""
    usage_limit: int | str | None = None
    """Seconds, or "10m", that the instance may use within 28 days; null: what the plan allows."""
    port: int = 8777
    """TCP port on 127.0.0.1; 0 takes a free one."""
    dir: str = "outputs/serve"
    """Folder in which jobs, results and sessions survive a restart."""
    max_body: int = 64
    """Largest request [MiB]."""
    workers: int = 2
    """Jobs that are simulated at the same time."""
    max_memory: int = 512
    """Memory that one request may take when it is unpacked, and one job's bits or expectation values [MiB]."""
    max_pubs: int = 1000
    """PUBs of a job."""
    max_executions: int = 10_000_000
    """Shots times parameter sets of a Sampler job, as at IBM; shots for each basis and set of an Estimator's."""
    max_connections: int = 256
    """Clients that are connected at the same time."""
    request_timeout: float = 30.0
    """In which a request has to arrive, and an answer to be taken [s]."""
    overrides: Sequence[str] = field(default_factory=tuple)
    """What was typed for the runtime."""

    def __post_init__(self) -> None:
        require_range("port", self.port, 0, 65535)
        require_range("max_body", self.max_body, 1, 4096)
        require_range("workers", self.workers, 1, 64)
        require_range("max_memory", self.max_memory, 64, 1 << 20)
        require_range("max_pubs", self.max_pubs, 1, 10**6)
        require_range("max_executions", self.max_executions, 1, 10**12)
        require_range("max_connections", self.max_connections, 1, 4096)
        require_range("request_timeout", self.request_timeout, 0.1, 3600)
        if not self.dir:
            raise ConfigError("needs a folder", key="dir")
        parse_duration(self.usage_limit, key="usage_limit")

    @property
    def served(self) -> Sequence[BackendConfig]:
        """The backends, the one that is taken unless another is named first."""
        return self.backends or (self.run.backend,)

    @property
    def limits(self) -> Plan:
        """The plan, with the instance's own limit in place of its allocation."""
        limits, seconds = self.run.session.limits, parse_duration(self.usage_limit)
        return limits if seconds is None else replace(limits, allocation=seconds)

    @property
    def directory(self) -> Path:
        """The folder as a path."""
        return Path(self.dir)

    @property
    def address(self) -> Path:
        """The file that tells on which port the server of this folder listens."""
        return self.directory / "server.json"

    @property
    def max_bytes(self) -> int:
        """Largest request in bytes."""
        return self.max_body * MEGABYTE

    @property
    def memory_bytes(self) -> int:
        """Memory that loading a circuit may take, in bytes."""
        return self.max_memory * MEGABYTE

    @property
    def unpacked_bytes(self) -> int:
        """What the packed data of a request may have when they are unpacked, in bytes."""
        return min(4 * self.max_bytes, self.memory_bytes // 4)

    @property
    def max_values(self) -> int:
        """Values a request may have, each of which takes up to 256 bytes."""
        return self.memory_bytes // 256


def called(backend: BackendConfig) -> str:
    """How a backend that is served is named where it is declared."""
    return backend.snapshot or backend.name


def read(arguments: Sequence[str], *, config_dirs: Sequence[str] = ()) -> ServeConfig:
    """Sort `key=value` words into the server's own settings and those of the runtime, and check them.

    `session=open` gives a server on the Open plan, which refuses sessions as the real service does.

    Raises:
        ConfigError: a setting is unknown, out of range, or not one that a server has.
    """
    own: dict[str, Any] = {}
    overrides: list[Override] = []
    for override in Overrides.of(arguments):
        if override.key in OWN:
            own[override.key] = OWN[override.key](override)
        elif override.part not in GROUPS:
            told = nearest(override.part, (*GROUPS, *OWN))
            raise ConfigError(f"a server has no such setting{told}", key=override.key)
        elif override.key in OF_A_RUN:
            raise ConfigError(f"a server has no such setting; {OF_A_RUN[override.key]}", key=override.key)
        else:
            overrides += Overrides.of(OPEN if override.text == "session=open" else [override.text])
    check_secrets({"dir": own.get("dir")})
    typed = Overrides(tuple(overrides))
    several = typed.last("backend")
    if several is None or not isinstance(several.value, list):
        return ServeConfig(run=_composed(typed, config_dirs), overrides=typed.texts, **own)
    rest = typed.where(lambda item: item.key != "backend")
    runs = [_composed(Overrides((*rest, *words)), config_dirs) for words in _each(several, rest, config_dirs)]
    _require_different([run.backend for run in runs])
    return ServeConfig(run=runs[0], backends=[run.backend for run in runs], overrides=typed.texts, **own)


def _composed(typed: Overrides, config_dirs: Sequence[str]) -> RunConfig:
    """What is typed for one backend, on top of what a server has by default."""
    scaled = all(item.value == "wall" for item in typed if item.key == "session.clock")
    defaults = Overrides.of(DEFAULTS).where(
        lambda item: item.key not in typed.keys and (scaled or item.key != "session.clock_scale")
    )
    words = Overrides((*defaults, *typed, *Overrides.of(["tracking=off"])))
    return declare(words, config_dirs=config_dirs).config


def _each(several: Override, rest: Overrides, config_dirs: Sequence[str]) -> list[Overrides]:
    """What is typed in place of `backend=[…]` for each backend in it: a choice, or a snapshot by its name.

    Raises:
        ConfigError: there is none in it, one twice, something else than a name, or a snapshot that there is not.
    """
    names = several.value
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError("needs names of backends, as in backend=[fake_torino,fake_manila]", key="backend")
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise ConfigError(f"names {twice[0]} twice; leave one out", key="backend")
    if rest.last("backend.device") is not None:
        raise ConfigError("backend=[…] names the devices; leave it out", key="backend.device")
    choices = Composer(config_dirs, rest.plugins).options("backend")
    devices = set(snapshots()) - set(choices)
    for name in names:
        if name.startswith("fake_") and name not in {*choices, *devices}:
            known = [*choices, *sorted(devices)]
            raise ConfigError(f"{name!r} not found{nearest(name, known)}", key="backend")
    return [
        Overrides.of(["backend=device", f"backend.device={name}"] if name in devices else [f"backend={name}"])
        for name in names
    ]


def _require_different(backends: Sequence[BackendConfig]) -> None:
    """Refuse backends that the runtime could not tell apart, or would have to simulate by different rules.

    Raises:
        ConfigError: there are two.
    """
    first: dict[str, BackendConfig] = {}
    for one in backends:
        if one.engine_options != backends[0].engine_options:
            raise ConfigError(
                f"{called(backends[0])} and {called(one)} are simulated by different settings; serve one of them",
                key="backend",
            )
        quiet = isinstance(one, DeviceBackend) and not one.noise
        simulator = quiet or isinstance(one, IdealBackend | NoisyBackend)
        other = first.setdefault("simulator" if simulator else called(one), one)
        if other is not one:
            what = "Aer's simulator" if simulator else "the same device"
            raise ConfigError(
                f"{called(other)} and {called(one)} are both {what}: a server has one of them", key="backend"
            )


def _whole(override: Override) -> int:
    if isinstance(override.value, bool) or not isinstance(override.value, int):
        raise ConfigError(f"must be a whole number, got {override.written!r}", key=override.key)
    return override.value


def _number(override: Override) -> float:
    if isinstance(override.value, bool) or not isinstance(override.value, int | float):
        raise ConfigError(f"must be a number, got {override.written!r}", key=override.key)
    return float(override.value)


def _text(override: Override) -> str:
    return override.written


def _duration(override: Override) -> int | None:
    return parse_duration(override.value, key=override.key)


OWN: dict[str, Callable[[Override], Any]] = {
    "port": _whole,
    "dir": _text,
    "max_body": _whole,
    "workers": _whole,
    "max_memory": _whole,
    "max_pubs": _whole,
    "max_executions": _whole,
    "max_connections": _whole,
    "request_timeout": _number,
    "usage_limit": _duration,
}
"""The server's own settings and how they are read."""


def environment(port: int) -> Mapping[str, str]:
    """The five variables with which the unmodified client finds the server, and one that spares it trouble.

    Without the last, it looks through the whole call stack at every request to tell IBM who called, which takes longer
    than everything else in a small job.
    """
    root = f"http://{HOST}:{port}"
    return {
        "QISKIT_IBM_TOKEN": "local",
        "QISKIT_IBM_URL": root + BASE,
        "IAM_URL": root,
        "GLOBAL_SEARCH_URL": root,
        "GLOBAL_CATALOG_URL": root,
        "USAGE_DATA_OPT_OUT": "True",
    }

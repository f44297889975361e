"""`serve`: the local runtime behind the Runtime API, for the unmodified client."""

from __future__ import annotations

import sys

from runner.cli.verb import CONFIG_DIR, Argument, CommandLine, Flag, Verb

VERB = Verb(
    name="serve",
    does="the local runtime for the unmodified qiskit-ibm-runtime client",
    arguments=(
        Argument(
            name="[port=8777] [dir=outputs/serve] [usage_limit=…] [workers=2] [max_body=64]",
            does="the server's own settings",
        ),
        Argument(
            name="[session=… backend=… seed=… plugins=[…]]", does="the runtime that is served, as for a run"
        ),
    ),
    flags=(
        Flag(name="--env", does="only print the shell exports for a client of the server", prints=True),
        CONFIG_DIR,
    ),
    settings=None,
    offers=("session", "backend", "seed", "plugins"),
    examples=("serve session.clock_scale=60", "serve backend=[fake_torino,fake_manila]", "serve --env"),
    beside=True,
    data=True,
)


def main(line: CommandLine) -> int:
    """Serve until stopped; with --env only print the shell exports of the server in `dir`, or of `port`."""
    from runner.serve.config import called, environment, read
    from runner.serve.server import port_of, serve

    config = read(line.arguments, config_dirs=line.config_dirs)
    if "env" in line.flags:
        for name, value in environment(port_of(config)).items():
            print(f"export {name}={value}")
        return 0

    def ready(port: int) -> None:
        session = config.run.session
        pace = "virtual clock" if session.clock == "virtual" else f"{session.clock_scale:g} s per second"
        devices = ", ".join(called(one) for one in config.served)
        print(f"serving {devices} on the {session.plan} plan, {pace}; stop with Ctrl-C", file=sys.stderr)
        for name, value in environment(port).items():
            print(f"{name}={value}", flush=True)

    return serve(config, ready)

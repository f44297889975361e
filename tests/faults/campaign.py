"""The campaign's trials: what is broken, and what must hold afterwards. Every random choice comes from the seed."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from runner.declare.composer import declare
from runner.declare.config import Declaration
from runner.engine.estimator import EstimatorNumbers
from runner.record import clock, faults
from runner.record.journal import read_journal
from runner.record.packed import is_there, open_kept, packed_path
from runner.tracking import TrackingConfig, sync
from runner.tracking.sync import locked
from tests.faults import engines, place, searches, trial
from tests.faults.kinds import CASES, FORKS, STOPS
from tests.faults.trial import Ending, Trial

SMALL = ("tracking=off", "run.figures=false", "seed=11")
OUTAGES_AT_ONCE = 10
"""Outages that share a tracking server."""
NOBODY = 65534
"""Somebody who owns nothing here."""
ENDED = ("finished", "stopped")
"""Runs of which nothing is left to do, unless their session is to be followed by another."""

WORKLOADS = {"race": 2}
"""Jobs that may be under way at one moment, where it is more than one: so many may be lost with a kill."""

DEFAULT_CASES = ("cobyla", "spsa", "race")


@dataclass(frozen=True)
class Reference:
    """An unbroken run of a case."""

    identity: dict[str, str]
    """What must come out however often a run is broken."""
    events: int
    """Events it writes."""
    jobs: int
    """Jobs it executes."""
    seconds: float
    """How long it takes."""
    declared: Declaration | None
    """What its command line means, where that is wanted; a fork's means what its origin says."""
    resumed: dict[str, str] = field(default_factory=dict)
    """What must come out where it stopped and goes on."""
    more: int = 0
    """Events that going on writes."""


@dataclass
class Campaign:
    """Runs trials below `home`; each returns a note such as '4 kills, 1 recomputed', or raises."""

    home: Path
    seed: int = 1
    plain: float = 0.0
    """Share of trials whose processes are started as `python -m runner`."""
    composed: float = 0.0
    """Share of the other starts that need not compose their configuration."""
    references: dict[str, Reference] = field(default_factory=dict)
    sweeps: dict[str, searches.Facts] = field(default_factory=dict)
    """The same of whole sweeps and searches."""

    def make_reference(self, case: str) -> None:
        """Carry out the unbroken one of a case, where that was not done."""
        if case in searches.CASES:
            searches.reference(self.home, case, self.sweeps)
        else:
            self.reference(case)

    def keep(self, case: str, made: Reference | searches.Facts) -> None:
        """Take in the unbroken one that another process carried out."""
        if isinstance(made, Reference):
            self.references[case] = replace(made, declared=self._declared(case))
        else:
            self.sweeps[case] = made

    def reference(self, case: str) -> Reference:
        """An unbroken run of this case."""
        if case not in self.references:
            overrides = (*SMALL, *_overrides(case))
            directory = self.home / f"reference-{case}"
            if case in FORKS:
                self.reference(FORKS[case])
            start = Trial(arguments=(*self.begin(case), *overrides, f"hydra.run.dir={directory}"))
            ended = start.run(self.home / f"reference-{case}.txt")
            assert ended.code in (0, 3), ended.output
            events = len(read_journal(directory / "journal.jsonl").events)
            jobs = len(trial.done_jobs(directory))
            found = trial.identity(directory)
            made = Reference(found, events, jobs, ended.seconds, self._declared(case))
            if case in STOPS:
                assert ended.code == 3, f"it was to stop: {ended.output}"
                twin = self.home / f"resumed-{case}"
                shutil.copytree(directory, twin)
                ended = Trial(arguments=("resume", str(twin))).run(twin.with_suffix(".txt"))
                assert ended.code == 0, ended.output
                made = replace(made, resumed=trial.identity(twin), more=trial.events(twin) - events)
            self.references[case] = made
        return self.references[case]

    def _declared(self, case: str) -> Declaration | None:
        """What the command line of a kind means, composed once for its trials."""
        return declare((*SMALL, *_overrides(case))) if self.composed and case not in FORKS else None

    def begin(self, case: str) -> tuple[str, ...]:
        """The words that a kind of run begins with: a fork has its origin there."""
        return ("resume", str(self.home / f"reference-{FORKS[case]}"), "--fork") if case in FORKS else ()

    def kills(self, case: str, number: int, kills: int) -> str:
        """Kill a run `kills` times, at random events or moments, resuming each time; it must not matter.

        When it comes to its end before that, another one is begun.
        """
        hits = recomputed = runs = 0
        while hits < kills:
            run = Broken(self, case, f"killed-{case}-{number}-{runs}")
            already = hits
            while hits < kills and not run.ended:
                ended = self._kill(run)
                assert ended.code in (0, 3, -signal.SIGKILL), ended.output
                hits += ended.code == -signal.SIGKILL
            recomputed += run.finish(lost=(hits - already) * WORKLOADS.get(case, 1))
            runs += 1
        return f"{hits} kills, {recomputed} recomputed, {runs * run.plain} runs of plain processes"

    def _kill(self, run: Broken) -> Ending:
        """Go on with a run until some event of those that are left, or for some time, then kill it."""
        if run.rng.random() < 0.25:
            return run.go_on(signals=((run.rng.uniform(0, run.seconds), signal.SIGKILL),))
        if run.rng.random() < 0.05:
            return run.go_on(fault="packed:1:kill9")
        left = max(run.expected.events - trial.events(run.directory), 1)
        return run.go_on(fault=f"{run.rng.choice(trial.POINTS)}:{run.rng.randint(1, left)}:kill9")

    def signals(self, case: str, number: int) -> str:
        """Send SIGINT or SIGTERM at a random moment, sometimes twice, or as a simulation begins; exit in time,
        resumable, same result.
        """
        run = Broken(self, case, f"signalled-{case}-{number}")
        which = run.rng.choice((signal.SIGINT, signal.SIGTERM))
        twice = False
        if run.rng.random() < 0.25:
            word = "int" if which == signal.SIGINT else "term"
            ended = run.go_on(fault=f"simulate:{run.rng.randint(1, run.expected.jobs)}:{word}")
        else:
            signals = [(run.rng.uniform(0, run.seconds), int(which))]
            twice = run.rng.random() < 1 / 3
            if twice:
                signals.append((run.rng.uniform(0, 0.02), int(which)))
            ended = run.go_on(signals=tuple(signals))
        if run.directory.exists():  # before that, Python itself or this harness may be what is interrupted
            assert ended.code in (0, 3, 128 + which, -which), f"exit {ended.code}: {ended.output}"
            assert "Traceback" not in ended.output, ended.output
        given_up = trial.given_up(run.executed)  # as the simulation told: load matters not
        assert len(given_up) <= WORKLOADS.get(case, 1), f"given up at one signal: {given_up}"
        at_once = twice or ended.code == -which
        recomputed = run.finish(lost=WORKLOADS.get(case, 1) if at_once else len(given_up))
        interrupted = int(ended.code not in (0, 3))
        return (
            f"{interrupted} interrupted, {recomputed} recomputed, {len(given_up)} given up, "
            f"{int(run.plain)} plain processes"
        )

    def stops(self, case: str, number: int) -> str:
        """A run that stops is broken, before and while it stops; and going on is, by signals and kills; the same comes
        out as if it had stopped and gone on undisturbed, and its jobs are charged once.
        """
        run = Broken(self, case, f"stopped-{case}-{number}")
        if run.rng.random() < 0.5:
            self._kill(run)
        lost = WORKLOADS.get(case, 1) * int(not run.ended)
        seconds = (
            run.seconds
        )  # longer each time: under load a process may take more than that to get to its first job
        while not run.ended:
            run.go_on(signals=((run.rng.uniform(0, seconds), signal.SIGINT),))
            lost += WORKLOADS.get(case, 1)
            seconds *= 1.5
        run.finish(lost=lost, keep=True)
        kills = signals = 0
        for _ in range(run.rng.randint(1, 6)):
            which = run.rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
            at = run.rng.choice((run.seconds, 0.3))
            broken: dict[str, Any] = {"signals": ((run.rng.uniform(0, at), int(which)),)}
            if run.rng.random() < 1 / 3:
                place = run.rng.randint(1, run.expected.more)
                broken = {"fault": f"{run.rng.choice(trial.POINTS)}:{place}:kill9"}
            code = self._resumed(run, **broken)
            kills += code == -signal.SIGKILL
            signals += code in (130, 143, -signal.SIGINT, -signal.SIGTERM)
            if code == 0 or trial.status(run.directory) == "finished":  # it was killed after its end
                break
        if trial.status(run.directory) != "finished":
            assert self._resumed(run) == 0, run.output.read_text()
        found = trial.identity(run.directory)
        different = [name for name, digest in run.expected.resumed.items() if found[name] != digest]
        assert not different, f"{', '.join(different)} differ from the unbroken run in {run.directory}"
        run.forget()
        return f"{kills} kills, {signals} interrupted"

    def _resumed(self, run: Broken, **broken: Any) -> int:
        """Go on with a run that stopped; the exit code, which is none of a run that stopped or was refused."""
        ended = Trial(
            arguments=("resume", str(run.directory)),
            plain=run.plain,
            hash_seed=run.rng.getrandbits(32),
            **broken,
        ).run(run.output)
        over = (0, 130, 143, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)
        assert ended.code in over, f"exit {ended.code}: {ended.output}"
        return ended.code

    def disk(self, case: str, k: int, action: str) -> str:
        """The k-th write to the journal fails; one clear line, exit 5, resumable, same result."""
        run = Broken(self, case, f"disk-{action}-{case}-{k}")
        run.refused(run.go_on(fault=f"mid_write:{k}:{action}"))
        run.finish(lost=WORKLOADS.get(case, 1))
        return "1 refused"

    def full(self, case: str, number: int) -> str:
        """A small disk fills up while the run goes on; once there is room again it ends as if it had been there."""
        rng = random.Random(f"{self.seed} full {case} {number}")
        return self._too_small(case, f"full-{case}-{number}", kilobytes=rng.randrange(16, 128, 4))

    def crowded(self, case: str, files: int) -> str:
        """The inode table fills up; once there is room again the run ends as if it had been there."""
        return self._too_small(case, f"crowded-{case}-{files}", files=files)

    def _too_small(self, case: str, name: str, **limits: int) -> str:
        with place.mounted(self.home / name, **limits) as disk:
            run = Broken(self, case, disk.path / "run")
            refused = run.refused_or_ended(run.go_on())
            disk.grow()
            run.finish(lost=WORKLOADS.get(case, 1))
        return f"{refused} refused"

    def read_only(self, case: str, k: int) -> str:
        """A disk that is read-only, at the start and when a killed run is to be resumed: one line, nothing changed."""
        with place.mounted(self.home / f"read-only-{case}-{k}") as disk:
            run = Broken(self, case, disk.path / "run")
            disk.protect()
            run.refused(run.go_on())
            disk.protect(False)
            killed = run.go_on(fault=f"before_journal:{k}:kill9")
            assert killed.code == -signal.SIGKILL, killed.output
            disk.protect()
            run.refused(run.go_on())
            disk.protect(False)
            run.finish(lost=WORKLOADS.get(case, 1))
        return "2 refused"

    def vanishes(self, case: str, number: int) -> str:
        """The run directory is deleted, or moved away, in the middle of the run: one line, and no other damage."""
        run = Broken(self, case, f"vanishing-{case}-{number}")
        moved = run.directory.with_name(f"{run.directory.name}-moved") if number % 2 else None
        at = run.rng.randint(2, run.expected.events // 2)

        def work() -> int:
            trial.at_event(at, lambda: place.away(run.directory, moved))
            return Trial(arguments=run.start(), executed=run.executed).command()

        run.refused(trial.in_a_process(work, run.output))
        if moved is not None:
            moved.rename(run.directory)
        run.finish(lost=run.expected.jobs)
        return f"{int(moved is None)} deleted, {int(moved is not None)} moved"

    def damaged(self, case: str, number: int) -> str:
        """A journal is cut off anywhere and a bit of it flipped: the same result, or refused in one line."""
        run = Broken(self, case, f"damaged-{case}-{number}")
        shutil.copytree(self.home / f"reference-{case}", run.directory)
        journal = run.directory / "journal.jsonl"
        kept = open_kept(journal)
        content = bytearray(kept.read(kept.size, 0))
        packed_path(journal).unlink(missing_ok=True)
        del content[run.rng.randrange(1, len(content)) :]
        if number % 2:
            content[run.rng.randrange(len(content))] ^= 1 << run.rng.randrange(8)
        journal.write_bytes(content)
        for name in ("result.json", "session.json"):
            (run.directory / name).unlink()
        known = read_journal(journal).events
        resumed = Trial(arguments=("resume", str(run.directory)), executed=run.executed).run(run.output)
        if not known or known[0].kind != "run.started":
            assert resumed.code == 2, resumed.output
            assert resumed.output.startswith("error: "), resumed.output
            assert resumed.output.count("\n") == 1, resumed.output
            return "1 refused"
        assert resumed.code in (0, 3), resumed.output
        run.same()
        return "1 recovered"

    def not_a_number(self, case: str, k: int, value: float) -> str:
        """G11: the k-th estimate is nan or infinite; the run fails, names it, and it is never the best."""
        run = Broken(self, case, f"nan-{case}-{k}-{value}")

        def work() -> int:
            def spoiled(numbers: EstimatorNumbers) -> EstimatorNumbers:
                return numbers._replace(evs=np.full_like(numbers.evs, value))

            trial.spoil(k, spoiled)
            return Trial(arguments=run.start(), declared=run.declared).command()

        ended = trial.in_a_process(work, run.output)
        result = json.loads((run.directory / "result.json").read_text())
        assert (ended.code, result["status"]) == (1, "failed"), ended.output
        assert f"gave the energy {value}" in result["stop_reason"], result["stop_reason"]
        assert result["energy"] is None or math.isfinite(result["energy"])
        run.forget()
        return "1 failed"

    def engine(self, case: str, cause: str, k: int) -> str:
        """The k-th simulation fails; see `engines`."""
        return engines.fails(self, case, cause, k)

    def engine_tracked(self, case: str, cause: str, k: int) -> str:
        """The k-th simulation of a tracked run fails."""
        return engines.fails_tracked(self, case, cause, k)

    def starved(self, case: str, cause: str, k: int) -> str:
        """From the k-th simulation on there is no more memory."""
        return engines.fails(self, case, cause, k)

    def limited(self, case: str, number: int) -> str:
        """There is little more memory than a process begins with: it ends, or fails in words and goes on with more."""
        run = Broken(self, case, f"limited-{case}-{number}")
        room = run.rng.randrange(0, 2 << 20, 4096)

        def work() -> int:
            limit_memory(room)
            return Trial(arguments=run.start(), executed=run.executed, declared=run.declared).command()

        ended = trial.in_a_process(work, run.output)
        enough = ended.code in (0, 3)
        if not enough and ended.code >= 0:
            assert ended.code in (1, 2, 5), f"exit {ended.code}: {ended.output}"
            assert "error: " in ended.output or "failed" in ended.output, ended.output
        run.finish(lost=WORKLOADS.get(case, 1))
        return f"{int(enough)} had enough, {int(not enough)} failed"

    def clock(self, case: str, number: int) -> str:
        """The clock is set, before a killed run goes on and while it does; its events' times never go back."""
        run = Broken(self, case, f"clock-{case}-{number}")
        killed = run.go_on(fault=f"before_journal:{run.rng.randint(3, run.expected.events)}:kill9")
        assert killed.code == -signal.SIGKILL, killed.output
        before, during = (run.rng.uniform(-1, 1) * 10 ** run.rng.uniform(0, 7) for _ in range(2))
        left = run.expected.events - trial.events(run.directory)

        def work() -> int:
            clock._START += before
            trial.at_event(max(left // 2, 1), lambda: trial.set_clock(during))
            resumable = bool(trial.events(run.directory))
            words = ("resume", str(run.directory)) if resumable else run.start()
            return Trial(arguments=words, executed=run.executed).command()

        if not trial.events(run.directory):
            shutil.rmtree(run.directory, ignore_errors=True)
        ended = trial.in_a_process(work, run.output)
        assert ended.code in (0, 3), ended.output
        times = [event.t for event in read_journal(run.directory / "journal.jsonl").events]
        assert times == sorted(times), "an event is from before the one before it"
        run.finish(lost=1)
        return "1 ended the same"

    def tracked(self, case: str, number: int) -> str:
        """G14: a tracked run is killed, resumed and finished; MLflow holds it once, complete and FINISHED."""
        database = self.home / "mlflow.db"
        store = (f"tracking.uri=sqlite:///{database}", f"tracking.artifacts={self.home}/artifacts")
        run = Broken(self, case, f"tracked-{case}-{number}", options=("run.figures=false", "seed=11", *store))
        fault = f"{run.rng.choice(trial.POINTS)}:{run.rng.randint(3, run.expected.events)}:kill9"
        killed = run.go_on(fault=fault)
        assert killed.code in (0, 3, -signal.SIGKILL), killed.output
        if killed.code == -signal.SIGKILL:
            with locked(
                run.directory
            ):  # the uploader that was left behind is done, unless it has yet to begin
                left = [status for _, status, _ in trial.stored(database, run.directory.name)]
            assert left in ([], ["KILLED"], ["FINISHED"]), left
            if run.ended:  # killed between its last event and its end: what is missing is written
                again = run.go_on()
                assert again.code == 0, again.output
        recomputed = run.finish(lost=1, keep=True)
        result = json.loads((run.directory / "result.json").read_text())
        with locked(run.directory):
            found = trial.stored(database, run.directory.name)
        assert found == [(result["mlflow_run_id"], "FINISHED", result["evaluations"])], f"{found}, {result}"
        run.forget()
        return f"{int(killed.code == -signal.SIGKILL)} kills, {recomputed} recomputed"

    def sync(self, case: str, point: str) -> str:
        """Kill a sync at its every request, one after the other; in the end MLflow holds the run once."""
        directory = self.home / f"synced-{case}-{point}"
        shutil.copytree(self.home / f"reference-{case}", directory)
        database = self.home / f"sync-{point}.db"
        config = TrackingConfig(uri=f"sqlite:///{database}", artifacts=str(self.home / "artifacts"))
        output = directory.with_suffix(".txt")
        kills = 0
        for k in itertools.count(1):
            (directory / "mlflow.json").unlink(missing_ok=True)
            ended = trial.in_a_process(_syncing(directory, config, f"{point}:{k}:kill9"), output)
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.output
            kills += 1
        evaluations = json.loads((directory / "result.json").read_text())["evaluations"]
        found = trial.stored(database, f"reference-{case}")
        assert [row[1:] for row in found] == [("FINISHED", evaluations)], found
        return f"{kills} kills"

    def sync_elsewhere(self, case: str, point: str) -> str:
        """The same, to a second store, of a run that is in its own already: in the end each holds it once."""
        directory = self.home / f"synced-twice-{case}-{point}"
        shutil.copytree(self.home / f"reference-{case}", directory)
        files = [self.home / f"{name}-{point}.db" for name in ("own", "other")]
        own, other = (
            TrackingConfig(uri=f"sqlite:///{file}", artifacts=str(self.home / "artifacts")) for file in files
        )
        output = directory.with_suffix(".txt")
        kills = 0
        for k in itertools.count(1):
            codes = []
            for config in (other, own):
                codes.append(
                    trial.in_a_process(_syncing(directory, config, f"{point}:{k}:kill9"), output).code
                )
                assert codes[-1] in (0, -signal.SIGKILL), output.read_text()
            kills += codes.count(-signal.SIGKILL)
            if codes == [0, 0]:
                break
            for file in directory.glob("mlflow*.json"):  # it has to ask the stores again
                file.unlink()
        for config in (own, other):
            assert trial.in_a_process(_syncing(directory, config, ""), output).code == 0
        evaluations = json.loads((directory / "result.json").read_text())["evaluations"]
        for file in files:
            found = trial.stored(file, f"reference-{case}")
            assert [row[1:] for row in found] == [("FINISHED", evaluations)], found
        return f"{kills} kills"

    def sweep_kills(self, case: str, number: int, kills: int) -> str:
        """A sweep or search is killed, at points or moments, and resumed; see `searches`."""
        return searches.kills(self.home, case, self.sweeps[case], self.seed, number, kills)

    def sweep_workers(self, case: str, number: int, launcher: str = "joblib") -> str:
        """A worker process of a sweep or search is killed."""
        return searches.workers(self.home, case, self.sweeps[case], self.seed, number, launcher)

    def sweep_full(self, case: str, number: int) -> str:
        """The disk fills up under a sweep or search."""
        return searches.full(self.home, case, self.sweeps[case], self.seed, number)

    def another_user(self, case: str, number: int) -> str:
        """Somebody without rights reads, resumes and starts: one line each, nothing changed; what is theirs runs."""
        run = Broken(self, case, f"other-{case}-{number}")
        killed = run.go_on(fault=f"before_journal:{run.rng.randint(3, run.expected.events)}:kill9")
        assert killed.code == -signal.SIGKILL, killed.output
        before = {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
        theirs = self.home.parent / f"{self.home.name}-theirs-{number}"
        theirs.mkdir()
        os.chown(theirs, NOBODY, NOBODY)
        words = [
            (["resume", str(run.directory)], (2, 5)),
            (["list", str(self.home)], (0, 2)),
            ([*run.start()[:-1], f"hydra.run.dir={self.home}/forbidden"], (5,)),
            ([*run.start()[:-1], f"hydra.run.dir={theirs}/run"], (0, 3)),
        ]
        try:
            for arguments, codes in words:
                ended = trial.in_a_process(_as_nobody(theirs, arguments), theirs.with_suffix(".txt"))
                assert ended.code in codes, f"{arguments}: {ended.code}: {ended.output}"
                assert "Traceback" not in ended.output, ended.output
            assert before == {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
            assert trial.identity(theirs / "run") == run.expected.identity
        finally:
            shutil.rmtree(theirs)
            theirs.with_suffix(".txt").unlink(missing_ok=True)
        run.finish(lost=WORKLOADS.get(case, 1))
        return "2 refused"

    def outages(self, _case: str, number: int) -> str:
        """G4: a tracking server that is late, dies, fails, stalls or is slow: nothing is lost, nothing doubled."""
        from tests.faults.test_outage import ALL_OUTAGES, assert_nothing_is_lost

        home = self.home / f"outages-{number}"
        chosen = ALL_OUTAGES[OUTAGES_AT_ONCE * number :][:OUTAGES_AT_ONCE]

        def work() -> int:
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "3"
            assert_nothing_is_lost(chosen, home, direct=True)
            return 0

        _in_a_folder(home, work)
        return f"{len(chosen)} outages"

    def writers(self, _case: str, number: int) -> str:
        """G5: eight processes meet at a store that none of them finds; all their values are in it."""
        from tests.tracking.apart import meet_at_a_fresh_store

        home = self.home / f"writers-{number}"

        def work() -> int:
            meet_at_a_fresh_store(home, 125)
            return 0

        _in_a_folder(home, work)
        return "8 writers"


class Broken:
    """One run of a trial: started, broken, resumed, and compared with the unbroken one."""

    def __init__(
        self, campaign: Campaign, case: str, where: str | Path, *, options: Sequence[str] = SMALL
    ) -> None:
        self.directory = campaign.home / where
        self.rng = random.Random(f"{campaign.seed} {where if isinstance(where, str) else where.parent.name}")
        self.plain = self.rng.random() < campaign.plain
        self.expected = campaign.reference(case)
        beside = self.directory if isinstance(where, str) else self.directory.parent
        self.output = beside.with_suffix(".txt")
        self.executed = beside.with_suffix(".executed")
        self._overrides = (*campaign.begin(case), *options, *_overrides(case))
        composed = options is SMALL and self.rng.random() < campaign.composed
        self.declared = self.expected.declared if composed else None

    @property
    def ended(self) -> bool:
        """Nothing is left to do."""
        return trial.status(self.directory) in ENDED

    def start(self) -> tuple[str, ...]:
        """The command line that starts it."""
        return (*self._overrides, f"hydra.run.dir={self.directory}")

    @property
    def seconds(self) -> float:
        """About how long it takes from its start to its end."""
        return self.expected.seconds * (0.5 if self.declared else 1.0) + (2.0 if self.plain else 0.0)

    def go_on(self, *, fault: str = "", signals: tuple[tuple[float, int], ...] = ()) -> Ending:
        """Resume what there is, or start where nothing was recorded yet; no recorded job is executed again."""
        recorded = trial.done_jobs(self.directory)
        before = trial.executions(self.executed)
        journal = self.directory / "journal.jsonl"
        resumable = is_there(journal) and bool(read_journal(journal).events)
        if not resumable:
            shutil.rmtree(self.directory, ignore_errors=True)
        ended = Trial(
            arguments=("resume", str(self.directory)) if resumable else self.start(),
            fault=fault,
            signals=signals,
            executed=self.executed,
            declared=None if resumable else self.declared,
            plain=self.plain,
            hash_seed=self.rng.getrandbits(32),
        ).run(self.output)
        executed = trial.executions(self.executed)[len(before) :]
        again = set(executed) & set(recorded)
        assert not again, f"executed although their results were in the journal: {sorted(again)}"
        assert len(set(executed)) == len(executed), f"executed twice in one process: {sorted(executed)}"
        return ended

    def refused(self, ended: Ending) -> None:
        """It ended with exit code 5 and one line of explanation."""
        lines = [line for line in ended.output.splitlines() if line.startswith("error: ")]
        assert ended.code == 5, f"exit {ended.code}: {ended.output}"
        assert lines, ended.output
        assert "Traceback" not in ended.output, ended.output

    def refused_or_ended(self, ended: Ending) -> int:
        """1 if it was refused; 0 if there was just room enough."""
        if ended.code in (0, 3):
            return 0
        self.refused(ended)
        return 1

    def finish(self, *, lost: int, keep: bool = False) -> int:
        """Let it come to its end, which must be the unbroken one's; returns how many jobs were executed again.

        Args:
            lost: the most that may have been under way when it was broken.
            keep: do not remove its files.
        """
        if not self.ended:
            ended = self.go_on()
            assert ended.code in (0, 3), ended.output
        self.same()
        recomputed = 0
        if not self.plain:
            counted = Counter(trial.executions(self.executed))
            assert len(counted) == self.expected.jobs, f"{len(counted)} of {self.expected.jobs} jobs executed"
            recomputed = counted.total() - len(counted)
            assert recomputed <= lost, f"{recomputed} jobs executed again, at most {lost} were under way"
        if not keep:
            self.forget()
        return recomputed

    def same(self) -> None:
        """Everything is as if it had never been broken, and no job is in the journal twice."""
        found = trial.identity(self.directory)
        different = [name for name, digest in self.expected.identity.items() if found[name] != digest]
        assert not different, f"{', '.join(different)} differ from the unbroken run in {self.directory}"
        done = trial.done_jobs(self.directory, told=True)
        assert len(done) == len(set(done)), f"recorded twice: {[job for job in done if done.count(job) > 1]}"

    def forget(self) -> None:
        """Remove the files of a trial that went well."""
        shutil.rmtree(self.directory)
        for file in (self.output, self.executed):
            file.unlink(missing_ok=True)


def _overrides(case: str) -> tuple[str, ...]:
    return next(kinds[case] for kinds in (CASES, STOPS, engines.CASES) if case in kinds)


def limit_memory(room: int) -> None:
    """Let this process have so many bytes of address space more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))


def _as_nobody(folder: Path, arguments: Sequence[str]) -> Callable[[], int]:
    """A command line of a user without rights."""

    def work() -> int:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.chdir(folder)
        return Trial(arguments=tuple(arguments)).command()

    return work


def _in_a_folder(home: Path, work: Callable[[], int]) -> None:
    """Do `work` in a process and a folder of its own."""
    home.mkdir()
    ended = trial.in_a_process(work, home.with_suffix(".txt"), deadline=900.0)
    assert ended.code == 0, ended.output
    shutil.rmtree(home)


def _syncing(directory: Path, config: TrackingConfig, fault: str) -> Callable[[], int]:
    def work() -> int:
        faults.plan(fault)
        return 0 if sync(directory, config).state == "synced" else 1

    return work

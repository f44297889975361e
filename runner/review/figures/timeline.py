"""Where the time went: queue, classical work, QPU, idling, time-outs and expiry, from the journal alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.display.words import clock
from runner.lazy import np
from runner.record.events import Event, JobCompleted, JobSubmitted, SessionChanged
from runner.record.log import of, remembered
from runner.record.replay import lasting
from runner.review.figures.canvas import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, canvas, time_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from runner.review.figures.shown import ShownFigure

QUEUE, CLASSICAL, QPU, LOST = "queue", "classical", "QPU", "lost"
ACTIVITIES = {QPU: BLUE, CLASSICAL: SKY, QUEUE: ORANGE, LOST: VERMILION}
"""What a workload may be doing → its colour; lost are jobs that failed or were cancelled."""

WAITING, BUSY, IDLE, INACTIVE = "waiting to start", "active", "active and idle", "inactive"
STATES = {WAITING: "#E6E6E6", BUSY: GREEN, IDLE: "#F0E442", INACTIVE: GREY}
"""What a session may be in → its colour."""

HATCHED = (LOST, INACTIVE)
"""Told apart without colours too."""

INSTANT = 1e-9
"""Seconds below which a span is rounding error."""

MOST_BARS = 600
"""Spans over the whole width that are drawn one by one; closer ones would be narrower than a dot of the picture."""

MOST_BARS_ANYWHERE = 20
"""Spans that are drawn one by one however short their part of the width is."""

COLUMNS = 300
"""In how many columns of the whole width closer ones are drawn."""

MOST_LANES = 3
"""Sessions that have a lane each; more share one."""

MOST_LINES = 6
"""Marks of one text that cross all lanes; more are short ones, at the sessions."""

MAX_LABELS = 6
"""Different texts at marks; more than this are lines without words."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the session's clock, in seconds."""

    what: str
    """One of ACTIVITIES in a workload's lane, of STATES in a session's."""
    start: float
    end: float
    job: str | None = None
    """Whose doing it is, in a workload's lane."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True)
class Mark:
    """A moment worth a line: a time-out, an expiry, a closing."""

    time: float
    text: str
    session: str
    repeats: bool = False
    """The session was ending already, for the same reason."""


@dataclass
class Activities:
    """What sessions and workloads did, and when."""

    sessions: dict[str, list[Span]] = field(default_factory=dict)
    """Session id → its states."""
    workloads: dict[str, list[Span]] = field(default_factory=dict)
    """Workload → its activities; concurrent jobs of one workload may overlap."""
    marks: list[Mark] = field(default_factory=list)
    end: float = 0.0
    """When the last thing happened."""
    transitions: dict[str, list[SessionChanged]] = field(default_factory=dict)
    """Session id → what changed its state, in order."""

    @classmethod
    def of(cls, events: Sequence[Event]) -> Activities:
        """Read a journal's `session`, `job.submitted` and `job.completed` events."""
        return remembered(events, cls.__name__, lambda: cls._of(events))

    @classmethod
    def _of(cls, events: Sequence[Event]) -> Activities:
        reader = ActivityReader()
        for event in of(lasting(events), *reader.FACTS):
            reader.take(event)
        return reader.read()

    def seconds(self, what: str) -> float:
        """Total of one activity over all workloads, or of one state over all sessions."""
        lanes = self.sessions if what in STATES else self.workloads
        return sum(span.seconds for spans in lanes.values() for span in spans if span.what == what)

    def session_lanes(self) -> dict[str, list[Span]]:
        """Name → what is drawn in it: a lane for each session, or one for all where they are many."""
        if len(self.sessions) <= MOST_LANES:
            return {f"session {session[:8]}": spans for session, spans in self.sessions.items()}
        together = sorted((span for spans in self.sessions.values() for span in spans), key=_start)
        return {f"{len(self.sessions)} sessions": together}

    def lanes(self) -> dict[str, list[Span]]:
        """Name → what is drawn in it, sessions first."""
        return {**self.session_lanes(), **self.workloads}

    def _add(self, workload: str, span: Span) -> None:
        self.end = max(self.end, span.end)
        if span.seconds > INSTANT:
            self.workloads.setdefault(workload, []).append(span)

    def _add_job(self, begin: float, preparation: float, event: JobCompleted) -> None:
        started, finished = event.started, event.finished
        name, job = event.workload, event.job
        self.workloads.setdefault(name, [])
        self._add(name, Span(QUEUE, begin, finished if started is None else started, job))
        if event.status != "DONE" or started is None:
            # of no length when it was killed in the queue; the mark of its session tells
            self._add(name, Span(LOST, finished if started is None else started, finished, job))
            return
        prepared = started + preparation
        qpu = max(finished - event.qpu_seconds, prepared)
        self._add(name, Span(CLASSICAL, started, prepared, job))
        self._add(name, Span(QUEUE, prepared, qpu, job))
        self._add(name, Span(QPU, qpu, finished, job))

    def _add_session(
        self, session: str, steps: Sequence[SessionChanged], executing: Sequence[tuple[float, float]]
    ) -> None:
        spans = self.sessions.setdefault(session, [])
        ending = None
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            end = self.end if following is None else following.time
            if step.state == "open":
                spans.append(Span(WAITING, step.time, end))
            elif step.state == "inactive":
                spans.append(Span(INACTIVE, step.time, end))
                self.marks.append(Mark(step.time, step.reason, session))
            elif step.state == "closed":
                self.marks.append(Mark(step.time, step.reason, session, ending == step.reason))
            else:
                spans += _busy_and_idle(step.time, end, executing)
                if not step.accepting_jobs and end > step.time:
                    ending = step.reason
                    self.marks.append(Mark(step.time, ending, session))


class ActivityReader:
    """Finds out from the facts that last what sessions and workloads did."""

    FACTS = (SessionChanged, JobSubmitted, JobCompleted)

    def __init__(self) -> None:
        self._timeline = Activities()
        self._submitted: dict[str, tuple[float, float, str]] = {}
        self._jobs: list[tuple[float, float, str]] = []
        """When each was submitted and over, and whose it is."""
        self._executing: dict[str, list[tuple[float, float]]] = {}

    def take(self, event: Event) -> None:
        """Take in the next of these facts."""
        timeline = self._timeline
        if isinstance(event, JobSubmitted):
            self._submitted[event.job] = event.time, event.preparation, event.workload
        elif isinstance(event, JobCompleted) and event.job in self._submitted:
            begin, preparation, name = self._submitted.pop(event.job)
            timeline._add_job(begin, preparation, event)
            self._jobs.append((begin, event.finished, name))
            if event.started is not None and event.session is not None:
                self._executing.setdefault(event.session, []).append((event.started, event.finished))
        elif isinstance(event, SessionChanged):
            timeline.transitions.setdefault(event.session, []).append(event)
            timeline.end = max(timeline.end, event.time)

    def read(self) -> Activities:
        """Return what was found."""
        timeline = self._timeline
        waiting = [(begin, begin, name) for begin, _, name in self._submitted.values()]
        for name, span in _between_jobs([*self._jobs, *waiting]):
            timeline._add(name, span)
        for spans in timeline.workloads.values():
            spans.sort(key=_start)
        for session, steps in timeline.transitions.items():
            timeline._add_session(session, steps, self._executing.get(session, []))
        return timeline


def _between_jobs(jobs: Sequence[tuple[float, float, str]]) -> Iterator[tuple[str, Span]]:
    """What was computed before each job, since the one before it was over, and which workload that job is of.

    A program that goes through several workloads one after the other computes nothing while it waits for any of them;
    workloads whose jobs were under way at once run beside one another, and each may compute while others wait.

    Args:
        jobs: when each was submitted and over, and whose it is.
    """
    jobs = sorted(jobs)
    beside = _beside_one_another(jobs)
    over: dict[str, float] = {}
    latest: float | None = None
    for begin, end, name in jobs:
        since = latest
        if name in beside:
            since = max((time for other, time in over.items() if other not in beside[name]), default=None)
        if since is not None and begin > since:
            yield name, Span(CLASSICAL, since, begin)
        over[name] = max(over.get(name, end), end)
        latest = end if latest is None else max(latest, end)


def _beside_one_another(jobs: Sequence[tuple[float, float, str]]) -> dict[str, set[str]]:
    """Workload → the others that had jobs under way at the same time, where there are some.

    Args:
        jobs: when each was submitted and over, and whose it is; in this order.
    """
    found: dict[str, set[str]] = {}
    under_way: dict[str, float] = {}
    for begin, end, name in jobs:
        for other, until in list(under_way.items()):
            if until <= begin + INSTANT:
                del under_way[other]
            elif other != name:
                found.setdefault(name, set()).add(other)
                found.setdefault(other, set()).add(name)
        if end > begin:
            under_way[name] = max(under_way.get(name, end), end)
    return found


def _start(span: Span) -> float:
    return span.start


def _busy_and_idle(start: float, end: float, executing: Sequence[tuple[float, float]]) -> list[Span]:
    """An active period cut into stretches with and without a job."""
    spans = []
    time = start
    for begin, finish in sorted(executing):
        begin, finish = max(begin, start), min(finish, end)
        if finish <= time or begin >= end:
            continue
        if begin > time + INSTANT:
            spans.append(Span(IDLE, time, begin))
            time = begin
        if spans and spans[-1].what == BUSY and spans[-1].end == time:
            spans[-1] = Span(BUSY, spans[-1].start, finish)
        else:
            spans.append(Span(BUSY, time, finish))
        time = finish
    if end > time + INSTANT:
        spans.append(Span(IDLE, time, end))
    return spans


def session_timeline(events: Sequence[Event]) -> ShownFigure:
    """A lane per session and workload over the session's clock, with what ended or paused sessions; many share one."""
    timeline = Activities.of(events)
    above = timeline.session_lanes()
    labels = list(timeline.lanes())
    lanes = len(labels)
    figure = canvas(
        8.0,
        min(1.6 + 0.5 * max(lanes, 1), 40.0),
        left=min(0.25 + 0.085 * max(map(len, labels), default=0), 3.5),
        bottom=1.1,
        top=0.3,
    )
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    scale, unit = time_scale(timeline.end)
    for row, spans in enumerate(above.values()):
        _draw_lane(axes, row, spans, STATES, timeline.end, height=0.42)
    for row, spans in enumerate(timeline.workloads.values(), start=len(above)):
        _draw_lane(axes, row, spans, ACTIVITIES, timeline.end, height=0.62)
    _draw_marks(axes, timeline, scale, lanes)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(lanes, 1) - 0.4, -0.75 if timeline.marks else -0.5)
    axes.set_xlim(0, timeline.end / scale * 1.005 or 1)
    axes.set_xlabel(f"session clock ({unit})")
    axes.set_axisbelow(True)
    axes.grid(axis="x", alpha=0.25)
    _legend(figure, timeline)
    return figure


def _draw_lane(
    axes: Axes, row: int, spans: Sequence[Span], colours: Mapping[str, str], end: float, *, height: float
) -> None:
    scale, _ = time_scale(end)
    share = (
        (max(span.end for span in spans) - min(span.start for span in spans)) / end if spans and end else 0.0
    )
    if len(spans) > max(MOST_BARS * share, MOST_BARS_ANYWHERE):
        columns = max(round(COLUMNS * share), 1)
        _draw_shares(axes, row, spans, colours, scale, height=height, columns=columns)
        return
    for what, colour in colours.items():
        chosen = [(span.start / scale, span.seconds / scale) for span in spans if span.what == what]
        if chosen:
            wide = colours is ACTIVITIES and len(chosen) < 120  # jobs can be told apart by a white line
            axes.broken_barh(
                chosen, (row - height / 2, height), facecolors=colour,
                edgecolors="white" if wide else colour, linewidth=0.4 if wide else 0.0, snap=False,
                hatch="///" if what in HATCHED else None,
            )  # fmt: skip


def _draw_shares(
    axes: Axes,
    row: int,
    spans: Sequence[Span],
    colours: Mapping[str, str],
    scale: float,
    *,
    height: float,
    columns: int,
) -> None:
    """A lane with more bars than a picture has columns: what took which share of the time, column by column."""
    edges = np.linspace(min(span.start for span in spans), max(span.end for span in spans), columns + 1)
    covered = {what: _covered([span for span in spans if span.what == what], edges) for what in colours}
    whole = np.maximum(np.diff(edges), sum(covered.values()))
    bottom = np.full(columns, row + height / 2)
    for what, colour in colours.items():
        if covered[what].any():
            top = bottom - height * covered[what] / whole
            axes.stairs(
                top, edges / scale, baseline=bottom, fill=True, facecolor=colour, linewidth=0.0,
                hatch="///" if what in HATCHED else None,
            )  # fmt: skip
            bottom = top


def _covered(spans: Sequence[Span], edges: np.ndarray) -> np.ndarray:
    """Seconds of the spans between each two edges."""
    starts = np.sort(np.array([span.start for span in spans]))
    ends = np.sort(np.array([span.end for span in spans]))

    def until(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Σ max(0, moment − time) over all times."""
        sums = np.concatenate([[0.0], np.cumsum(times)])
        before = np.searchsorted(times, moments)
        return before * moments - sums[before]

    return np.maximum(np.diff(until(starts, edges) - until(ends, edges)), 0.0)


def _draw_marks(axes: Axes, timeline: Activities, scale: float, lanes: int) -> None:
    often = Counter(mark.text for mark in timeline.marks)
    for mark in timeline.marks:
        many = often[mark.text] > MOST_LINES
        axes.plot(
            [mark.time / scale] * 2, [-0.45, 0.3 if many else lanes - 0.45],
            linestyle="-" if many else "--", linewidth=1, color=mark_colour(mark),
        )  # fmt: skip
    for place, (mark, text) in enumerate(labels(timeline.marks)):
        right = mark.time > 0.5 * timeline.end
        axes.annotate(
            text, (mark.time / scale, -0.48), xytext=(-3 if right else 3, 1 + 10 * (place % 2)),
            textcoords="offset points", ha="right" if right else "left", va="bottom", fontsize=8,
            color=mark_colour(mark), annotation_clip=False,
        )  # fmt: skip


def labels(marks: Sequence[Mark]) -> list[tuple[Mark, str]]:
    """What is written at which mark: every text once, where it comes first, with how often it comes."""
    found: dict[str, list[Mark]] = {}
    for mark in sorted(marks, key=lambda mark: mark.time):
        found.setdefault(mark.text, []).append(mark)
    written = []
    for text, same in list(found.items())[:MAX_LABELS]:
        times = sum(not mark.repeats for mark in same)
        written.append((same[0], f"{text}, {times} times" if times > 1 else text))
    return written


def mark_colour(mark: Mark) -> str:
    """Red for what nobody wanted."""
    return VERMILION if "maximum time" in mark.text else "#444444"


def _legend(figure: ShownFigure, timeline: Activities) -> None:
    """Colours with their totals, so that the answer can be read without measuring bars."""
    from matplotlib.patches import Patch

    handles = []
    for colours in (ACTIVITIES, STATES):
        for what, colour in colours.items():
            total = timeline.seconds(what)
            if total > 0:
                hatch = "///" if what in HATCHED else None
                text = f"{what}: {clock(total)}"
                handles.append(Patch(facecolor=colour, edgecolor="white", hatch=hatch, label=text))
    if handles:
        figure.legend(
            handles=handles, loc="lower center", ncols=min(4, len(handles)), frameon=False, fontsize=9
        )

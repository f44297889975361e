"""A circuit as declared and as the device gets it, with what it takes: depth and two-qubit gates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runner.display.words import counted
from runner.record.redaction import redact
from runner.review.figures.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from qiskit import QuantumCircuit

    from runner.review.figures.shown import ShownFigure

MOST_COLUMNS = 48
MOST_WIRES = 20
WRAP = 16
"""Columns side by side before the drawing continues below."""

_CONTROLLED = {
    "cx": "X",
    "cz": None,
    "cp": "P",
    "cy": "Y",
    "ch": "H",
    "crx": "Rx",
    "cry": "Ry",
    "crz": "Rz",
    "ccx": "X",
}
"""Gates drawn as dots and a target → what is written in the target's box; None: a dot as well."""
_COLOURS = {
    "rx": BLUE,
    "ry": BLUE,
    "rz": SKY,
    "p": SKY,
    "h": GREEN,
    "x": ORANGE,
    "sx": ORANGE,
    "measure": GREY,
}


def circuit(drawn: QuantumCircuit, title: str = "") -> ShownFigure:
    """One circuit; wires without gates are left out, long circuits are cut."""
    return circuit_pair([(title, drawn)])


def circuit_pair(circuits: list[tuple[str, QuantumCircuit]]) -> ShownFigure:
    """Circuits below one another, each with its title, depth and two-qubit gates: `[("as declared", c), …]`."""
    layouts = [(title, drawn, _Layout(_flat(drawn))) for title, drawn in circuits]
    heights = [layout.height for _, _, layout in layouts]
    width = max(5.5, min(14.0, 1.6 + 0.52 * max(layout.width for _, _, layout in layouts)))
    figure = canvas(
        width, min(0.45 * sum(heights) + 0.6 * len(layouts), 40.0), left=0.1, right=0.1, bottom=0.1, top=0.35
    )
    figure.subplots_adjust(hspace=0.25)
    panels = figure.subplots(len(layouts), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (title, drawn, layout) in zip(panels, layouts, strict=True):
        axes.set_title(f"{title}: {measures(drawn)}".removeprefix(": "), loc="left", fontsize=10)
        _draw(axes, layout)
    return figure


def measures(drawn: QuantumCircuit) -> str:
    """Depth and gate counts in words."""
    flat = _flat(drawn)
    two = flat.num_nonlocal_gates()
    return f"depth {flat.depth()}, {counted(two, 'two-qubit gate')}, {counted(flat.size(), 'gate')}"


def _flat(drawn: QuantumCircuit) -> QuantumCircuit:
    """The circuit itself where it is wrapped into a single instruction."""
    while len(drawn.data) == 1 and drawn.data[0].operation.definition is not None and drawn.num_qubits > 1:
        drawn = drawn.decompose()
    return drawn


class _Layout:
    """Which gate stands in which column of which wire."""

    def __init__(self, drawn: QuantumCircuit) -> None:
        index = {qubit: number for number, qubit in enumerate(drawn.qubits)}
        used = sorted(
            {index[qubit] for item in drawn.data if item.operation.name != "barrier" for qubit in item.qubits}
        )
        self.wires = used[:MOST_WIRES]
        self.hidden_wires = len(used) - len(self.wires)
        row = {wire: place for place, wire in enumerate(self.wires)}
        level = [0] * len(self.wires)
        self.gates: list[tuple[int, list[int], Any]] = []
        self.columns = 0
        for item in drawn.data:
            rows = [row[index[qubit]] for qubit in item.qubits if index[qubit] in row]
            if item.operation.name == "barrier" or len(rows) < len(item.qubits):
                continue
            reach = range(min(rows), max(rows) + 1)
            column = max(level[wire] for wire in reach)
            for wire in reach:
                level[wire] = column + 1
            self.columns = max(self.columns, column + 1)
            if column < MOST_COLUMNS:
                self.gates.append((column, rows, item.operation))
        self.shown = min(self.columns, MOST_COLUMNS)
        self.lines = max(1, -(-self.shown // WRAP))

    @property
    def width(self) -> int:
        """Columns side by side."""
        return min(self.shown, WRAP)

    @property
    def height(self) -> float:
        """Rows, gaps between continued lines included."""
        return self.lines * (max(len(self.wires), 1) + 0.8)


def _draw(axes: Axes, layout: _Layout) -> None:
    axes.set_axis_off()
    step = len(layout.wires) + 0.8
    for line in range(layout.lines):
        columns = min(layout.shown - line * WRAP, WRAP)
        for place, wire in enumerate(layout.wires):
            y = line * step + place
            axes.plot([-0.6, columns - 0.4], [y, y], color="#777777", linewidth=0.8, zorder=1)
            axes.text(-0.75, y, f"q{wire}", ha="right", va="center", fontsize=8)
    for column, rows, operation in layout.gates:
        line, x = divmod(column, WRAP)
        _gate(axes, x, [line * step + place for place in rows], operation)
    notes = []
    if layout.columns > layout.shown:
        notes.append(f"{layout.columns - layout.shown} more columns")
    if layout.hidden_wires:
        notes.append(f"{layout.hidden_wires} more qubits")
    if notes:
        axes.text(
            layout.width - 0.3, (layout.lines - 1) * step, "… " + ", ".join(notes), fontsize=8, va="center"
        )
    axes.set_xlim(-1.6, max(layout.width, 4) + (2.5 if notes else 0.2))
    axes.set_ylim(layout.lines * step - 0.9, -0.7)


def _gate(axes: Axes, x: float, rows: list[float], operation: Any) -> None:
    name = operation.name
    if len(rows) > 1 and name in _CONTROLLED:
        axes.plot([x, x], [min(rows), max(rows)], color=BLACK, linewidth=1.2, zorder=2)
        target = _CONTROLLED[name]
        dots = rows if target is None else rows[:-1]
        axes.plot([x] * len(dots), dots, "o", color=BLACK, markersize=5, zorder=3)
        if target == "X":
            axes.plot([x], [rows[-1]], "o", color="white", markeredgecolor=BLACK, markersize=12, zorder=3)
            axes.plot([x], [rows[-1]], "+", color=BLACK, markersize=12, zorder=4)
        elif target is not None:
            _box(axes, x, rows[-1], rows[-1], target, _angle(operation), PURPLE)
        return
    name = redact(name)  # before it is cut, when half a secret would be known no more
    label = {"measure": "M", "sx": "√X", "sxdg": "√X†", "tdg": "T†", "sdg": "S†", "reset": "|0⟩"}.get(
        name, name.capitalize()
    )
    _box(axes, x, min(rows), max(rows), label, _angle(operation), _COLOURS.get(name, PURPLE))


def _box(axes: Axes, x: float, low: float, high: float, label: str, angle: str, colour: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (x - 0.42, low - 0.36),
            0.84,
            high - low + 0.72,
            facecolor=colour,
            alpha=0.28,
            edgecolor="none",
            zorder=3,
        )
    )
    axes.add_patch(
        Rectangle(
            (x - 0.42, low - 0.36),
            0.84,
            high - low + 0.72,
            fill=False,
            edgecolor="#444444",
            linewidth=0.6,
            zorder=4,
        )
    )
    middle = (low + high) / 2
    label = label if len(label) <= 7 else label[:6] + "…"
    axes.text(x, middle - (0.13 if angle else 0), label, ha="center", va="center", fontsize=7.5, zorder=5)
    if angle:
        axes.text(x, middle + 0.2, angle, ha="center", va="center", fontsize=5.5, zorder=5)


def _angle(operation: Any) -> str:
    parts = []
    for value in operation.params[:2]:
        if not isinstance(value, int | float) and not hasattr(value, "parameters"):
            continue
        # OpenQASM 3 calls the element 3 of the vector θ _θ_3_
        text = re.sub(r"\b_(\w+?)_(\d+)_\b", r"\1[\2]", redact(str(value)))
        text = re.sub(r"\d+\.\d{3,}", lambda digits: f"{float(digits[0]):.3g}", text).replace("-", "−")
        parts.append(text if len(text) <= 11 else text[:10] + "…")
    return ", ".join(parts)

"""Angles written as text: numbers, names and arithmetic, and nothing that runs."""

import math
import re

import pytest
from qiskit.circuit import Parameter

from runner.ansatz.angle import angle, names_in
from runner.ansatz.gates import GateList
from runner.engine.classification import names_of
from runner.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pi/2", math.pi / 2),
        ("-π", -math.pi),
        ("2*a + b", 2 * 0.3 + 0.7),
        ("-a", -0.3),
        ("b - a/2", 0.7 - 0.15),
        ("3*(a-b)**2", 3 * 0.4**2),
        ("sin(a)*cos(0)", math.sin(0.3)),
        ("\u2212a", -0.3),
        ("1e-3*a", 0.0003),
    ],
)
def test_values_by_hand(text, value):
    """A = 0.3 and b = 0.7 in every expression, against the same arithmetic on numbers."""
    known = {"a": Parameter("a"), "b": Parameter("b")}
    found = angle(text, known.__getitem__, "k")
    bound = (
        found
        if isinstance(found, float)
        else found.bind({p: {"a": 0.3, "b": 0.7}[p.name] for p in found.parameters})
    )

    assert float(bound) == pytest.approx(value, abs=1e-15)


def test_parameters_come_in_order_of_appearance():
    """Also across gates, and shared by them."""
    circuit = GateList(name="g", gates=[["ry", "2*z+a", 0], ["rx", "a", 1], ["rz", "-m", 0]]).build()

    assert names_in("2*z + a - z", "k") == ["z", "a"]
    assert list(names_of(circuit)) == ["z", "a", "m"]


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os')", "a.b", "a[0]", "2 a", "2a", "a if b else a", "1j", "a+", "lambda: 1"),
        *("sqrt(2)", "a < b", "True", "f(a)", "a" * 300 + "+"),
    ],
)
def test_what_is_no_angle_is_refused(text):
    """One line that says what may be written."""
    with pytest.raises(ConfigError, match=r"is no angle|is no name of a parameter|is no function here"):
        GateList(name="g", gates=[["ry", text, 0]])


@pytest.mark.parametrize("text", ["1/0", "9**9**9**9", "(0-1)**0.5", "1e308*10"])
def test_angles_are_finite(text):
    """Arithmetic that has no finite real value."""
    with pytest.raises(ConfigError, match="is no finite angle"):
        GateList(name="g", gates=[["ry", text, 0]])


@pytest.mark.parametrize("name", ["lambda", "in", "is", "class", "None_", "λ"])
def test_words_that_python_reserves_are_names(name):
    """No angle is Python: 2·lambda at 0.3 is 0.6."""
    circuit = GateList(name="g", gates=[["ry", f"2*{name}", 0], ["rx", name, 0]]).build()

    assert list(names_of(circuit)) == [name]
    assert float(circuit.assign_parameters([0.3]).data[0].params[0]) == pytest.approx(0.6, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PI/2", "'PI', which is no constant; write pi"),
        ("-Pi", "'Pi', which is no constant; write pi"),
        ("a*TAU", "'TAU', which is no constant; write tau"),
        ("Π/2", "'Π', which is no constant; write π"),
        ("np.pi/2", "'.pi' of a module; write pi"),
        ("asin(a)", "'asin', which is no function here; use sin, cos"),
        ("nan", "is no finite angle"),
    ],
)
def test_what_looks_like_a_constant_is_no_parameter(text, told):
    """A free parameter called PI is what nobody means."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        GateList(name="g", gates=[["ry", text, 0]])

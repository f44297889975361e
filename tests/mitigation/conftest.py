"""Clients before 0.50 have no mitigation of their own."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("qiskit_mitigation") else ["test_*.py"]

"""Declare a Qiskit Runtime session experiment in config; run it on Aer exactly as declared."""

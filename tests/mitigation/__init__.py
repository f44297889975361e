"""Errors of expectation values undone."""

"""Tests of the runner, one file per module."""

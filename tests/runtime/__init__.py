"""Tests of the local runtime."""

"""Tests of runner/tracking."""

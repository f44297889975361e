"""Tests of runner/serve: the unmodified client against our server."""

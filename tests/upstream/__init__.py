"""Upstream's own tests, run against us; none of their code is kept here."""

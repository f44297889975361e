"""Sampled subspaces: bitstrings in, the lowest energy among the configurations they name out."""

"""Measured side by side: this project and its peers; `python -m benchmarks` prints the tables."""

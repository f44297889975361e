"""Breaking things on purpose; `python -m tests.faults --nightly` runs the whole campaign and prints its table."""

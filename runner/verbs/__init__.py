"""What the command line can do besides running: one verb per file."""

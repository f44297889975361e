"""The truth on disk: the journal and its events, replay, redaction, usage, the run directory."""

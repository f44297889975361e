"""What a run is declared to be: typed configuration, overrides, choices, checks and the messages of refusals."""

"""What a run would take, or would have taken: forecast, rehearsal, re-timing."""

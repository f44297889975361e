"""Many runs at once: every combination of the given values, or a search, on this machine or on a cluster.

`conductor.sweep` and `conductor.resume_sweep` are the ways in; nothing is imported here, so that composing one
run does not pay for what only a sweep needs.
"""

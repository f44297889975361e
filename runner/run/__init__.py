"""One run: preflight, execution, the context and the objective an experiment works with, resume and results."""

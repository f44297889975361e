"""The words typed at a shell: one file per verb, and what they share: help, completion, progress, the terminal."""

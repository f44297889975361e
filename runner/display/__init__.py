"""How things are shown to people: streams that may close, the line that changes, numbers in words."""

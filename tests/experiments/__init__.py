"""Every algorithm against what theory says it finds."""

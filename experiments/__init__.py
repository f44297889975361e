"""One algorithm per file: its configuration, its run(), what it reports."""

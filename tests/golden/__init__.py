"""Journals of earlier releases: each must go on to the same bits, or be refused in one line."""

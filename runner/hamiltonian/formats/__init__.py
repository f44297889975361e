"""Readers of operators that other programs and people wrote; each tells a format by its content.

`recognized` names the format of a text, `read` gives the operator and the words that say how it was understood.
Nothing is dropped or guessed: what a reader does not understand it refuses, with the line.
"""

"""Starters: commented examples that somebody begins with, copied into a folder of theirs.

Begin with `starter`; the examples themselves lie in `jobs/examples`.
"""

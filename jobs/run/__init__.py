"""A run from the spec to the summary.

Begin with `driver`; `closing` writes what a finished job has beside its pictures.
"""

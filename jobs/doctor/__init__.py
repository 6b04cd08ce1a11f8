"""The doctor: whether a machine, a place for jobs and a cluster have what Pressrun needs, and what is missing.

Begin with `finding`; `machine`, `place` and `cluster` find, each of its own.
"""

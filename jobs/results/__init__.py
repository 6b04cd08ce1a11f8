"""What became of every row, and what a job adds up to.

Begin with `results`, then `summary`; `status` and `failures` read them.
"""

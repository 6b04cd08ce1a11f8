"""The references of a job's rows: each distinct one is looked at once before anything is planned.

Begin with `references`, then `probe`; `validators` spares the next night the reading.
"""

"""The audit of a job: reads everything, trusts nothing.

Begin with `verify`; each other module judges one kind of thing.
"""

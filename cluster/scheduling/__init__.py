"""Units on their way through the actors, and what happens when one of these is lost.

Begin with `dispatcher`, then `in_flight` and `worker_pool`; `recovery` says what a loss costs.
"""

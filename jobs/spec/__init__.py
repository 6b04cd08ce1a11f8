"""What a customer asks for: the spec, its limits and budgets, and the events of a run.

Begin with `job_spec`.
"""

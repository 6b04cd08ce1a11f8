"""Everything about a job that can be checked before an actor starts.

Begin with `resolved_job`.
"""

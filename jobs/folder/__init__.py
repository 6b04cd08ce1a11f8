"""What a job's folder looks like: its files, their schemas, and jobs side by side in a series of nights.

Begin with `job_file`, then `result_schema` and `series`.
"""

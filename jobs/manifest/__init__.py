"""The manifest: a customer's table, checked whole, as the requests of a job.

Begin with `manifest`, then `request_columns`; `output_names` says where every picture belongs.
"""

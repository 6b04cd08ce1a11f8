"""Which requests run together, in which order, where and for how long.

Begin with `plan`, then `pending_rows` and `unit_sizing`; `placement_forecast` and `estimate` are for the dry run.
"""

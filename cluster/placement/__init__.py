"""How many actors hold what on which device, chosen before any of them starts.

Begin with `layout` and `choice`; `requirements` says what a plan needs, `devices` what a cluster has, `fit_advice` what
would help where a model does not fit.
"""

"""The Ray actors: some hold parts of a model and compute, others finish pictures and store them.

Begin with `actors`, then `finisher`; `shards` and `transport` are for a transformer that several actors share.
"""

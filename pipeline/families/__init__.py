"""Families of models: a folder each, which holds everything that only this family knows.

The first is `flux2`.
"""

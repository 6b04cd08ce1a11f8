"""Decisions: what people said of a job's pictures, and what is rendered again because of it.

Begin with `decision`; `decision_folder` keeps them in a job's folder, `rerolls` is what they make of its manifest.
"""

"""Ray for the length of one run, and the processes around it.

Begin with `ray_runtime`; `reaper` and `supervisor` clear up whatever ends a run, `scratch` is its folder.
"""

"""Pictures and pixels that are there already and need not be rendered again.

Begin with `cache`, which keeps an earlier job's pictures, then `recovery` and `refinishing`.
"""

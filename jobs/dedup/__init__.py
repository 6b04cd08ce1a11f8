"""Pictures that nearly repeat each other: found, judged, and tried again with their next seeds.

Begin with `near_duplicates`, then `verdicts` and `reseeding`.
"""

"""Taking a picture out of places, records and nights, for good.

Begin with `purging`.
"""

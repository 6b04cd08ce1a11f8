"""Finished pictures: everything between pixels and the bytes of a file.

Begin with `spec`, what may be asked for, then `renditions` (sizes), `codec` (formats) and `metadata` (the record in a
picture); `credentials` signs it.
"""

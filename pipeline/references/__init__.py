"""Reference pictures: a stranger's bytes become RGB pixels, or a sentence says why not.

Begin with `decode`; `worker` is the program of the process that may die of such bytes.
"""

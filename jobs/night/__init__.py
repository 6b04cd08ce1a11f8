"""A night in one command: rendered, published, compared, pruned, and told to those who are to know.

Begin with `night_file`, what is asked for, and `night`, what is done.
"""

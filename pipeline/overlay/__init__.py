"""Exact words and logos on finished pictures.

Begin with `copy_spec`, what may be asked for, then `typesetting`, which sets it; `line_breaking`, `fonts` and
`contrast` serve it.
"""

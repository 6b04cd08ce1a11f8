"""How a job's pictures are finished, as its rows and its finishing spec say.

Begin with `finish_file`, then `row_metadata`.
"""

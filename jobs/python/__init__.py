"""What Python has beside the command line: `pressrun.render`, progress in notebooks, results to look at.

Begin with `rendering`, then `rendered_job`.
"""

"""How sentences name what a night's file sets: by its field there, not by a flag of another command."""

import re
from dataclasses import fields

from pressrun.jobs.spec.job_spec import JobSpec

OURS = ("manifest", "out", "since")
"""Options of a render that a night sets itself."""

_FIELDS = {option.name for option in fields(JobSpec)} - {*OURS} | {"keep"}


def in_quotes(sentence: str) -> str:
    """A sentence of the library in a file's words: “`max_images` is …” names the field “max_images”."""
    return re.sub("`([a-z_]+)`", r"“\1”", sentence)


def in_file(sentence: str) -> str:
    """As `in_quotes`, for the fields alone that are a night's file's: “`max_minutes` 300 are over”."""
    return re.sub("`([a-z_]+)`", lambda found: f"“{found[1]}”" if found[1] in _FIELDS else found[0], sentence)

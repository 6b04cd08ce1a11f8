"""A job's spec: everything that a customer asks for, from the command line or from Python."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeAlias

import numpy as np


class ArrowTable(Protocol):
    """A table that another library reads without a copy: Arrow's own, a frame of polars, pandas or DuckDB, and any
    other that speaks the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as an ArrowArrayStream."""


ManifestSource: TypeAlias = str | os.PathLike[str] | ArrowTable | Sequence[Mapping[str, Any]]
"""Where a manifest's rows are: at a path or in `s3://`, or in memory as a table or as a list of dicts, one a row."""


@dataclass(frozen=True)
class JobSpec:
    """What a customer asks for: the options of `pressrun render`.

    `manifest` is a path, an `s3://` URI or rows in memory (see `ManifestSource`), whose relative references are meant
    from the working folder. `out` is a path or `s3://` URI, `model` a catalogue name or a folder. `layout`, `replicas`,
    `shards`, `compile`, `limit`, `max_failures`, `allow_hosts`, `accept_license`, `since`, `wait`, `max_images` and
    `max_minutes` say how this run goes about it and are no part of the job: they may differ when it is resumed.
    `compile` has GPUs compile the transformer's blocks, which the results name beside the device. `since` is an earlier
    job whose pictures are kept where nothing changed, or "latest" (see `jobs.folder.series`): a picture that is kept is
    the one that would be rendered. `wait` waits for another night that is being rendered beside this one. `max_images`
    and `max_minutes` stop this run. `precision` None is the model's own. `max_failures` is a number or a share such as
    "5%". `allow_hosts` are web servers (`host` or `host:port`) that references may come from although they have private
    addresses or speak plain http. `accept_license` accepts the licence of a model that is not for commercial use;
    job.json records it, and who resumes the job is not asked again. `finish` is the path or `s3://` URI of a finishing
    spec (see `pipeline.finishing.spec`); `sign` has every picture signed (see `cluster.protocol.signing`).
    `keep_pixels` is the place where pixels are kept for another finish, "" the job's own folder.

    A `pathlib.Path` becomes its text, a number of numpy's Python's own, a list of hosts a tuple. What else an option
    holds is looked at when the job is resolved, together with everything else that may be wrong with it.
    """

    manifest: ManifestSource
    out: str
    model: str = "mini"
    precision: str | None = None
    format: str = "png"
    name: str = "{custom_id}"
    finish: str | None = None
    sign: bool = False
    keep_pixels: str | None = None
    layout: str = "auto"
    replicas: int | None = None
    shards: int | None = None
    compile: bool = False
    limit: int | None = None
    max_failures: int | str | None = None
    allow_hosts: tuple[str, ...] = ()
    accept_license: bool = False
    since: str | None = None
    wait: bool = False
    max_images: int | None = None
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))
        if isinstance(self.allow_hosts, list):
            object.__setattr__(self, "allow_hosts", tuple(self.allow_hosts))


def _plain(value: object) -> object:
    """Paths as texts, with both slashes of an address that a Path made one of; numpy's numbers as Python's."""
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        return re.sub(r"^([sS]3):/+", r"\1://", path) if isinstance(path, str) else path
    return value.item() if isinstance(value, np.generic) else value

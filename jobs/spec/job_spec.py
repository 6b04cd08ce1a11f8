"""A job's spec: everything that a customer asks for, from the command line or from Python."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JobSpec:
    """What a customer asks for: the options of `pressrun render`.

    `manifest` and `out` are paths or `s3://` URIs, `model` a catalogue name or a folder. `layout`, `replicas`,
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
    """

    manifest: str
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

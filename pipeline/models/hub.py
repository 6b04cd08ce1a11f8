"""Fetching a catalogued model from the Hugging Face hub: the files that are needed, at the pinned revision, whole.

The hub's own client moves the bytes, so `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_HOME` mean what they mean
elsewhere. A model arrives under `PRESSRUN_MODELS` if that is set, and in the hub's cache otherwise. Each file is
checked against the digest that the hub states before it counts as there, and the folder is a model only when all of
them are: on the shelf it gets its name last, in the cache `model_index.json` comes last. A fetch that was interrupted
goes on with the files that are missing.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model, find_model, where_to_put
from pressrun.pipeline.models.digests import DIGESTS_FILE, INDEX, remember_digests
from pressrun.pipeline.models.locations import hub_cache, hub_snapshot, models_folder
from pressrun.pipeline.models.weights import PARTS, WEIGHTED, WEIGHTS

Watch = Callable[[int, int], None]
"""Told how many bytes have arrived, and of how many."""

_NEEDED = re.compile(rf"model_index\.json|({'|'.join(PARTS)})/[A-Za-z0-9][\w.-]*\.(json|jinja|txt|model|safetensors)")
_TIMEOUT_SEC = 10.0
_SPARE_BYTES = 256 << 20
"""Room that is left on the disk."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: `sha256` of a large file, `blob` (Git's digest) of a small one, "" for the other."""

    name: str
    bytes: int
    sha256: str
    blob: str

    def is_damaged(self, path: Path) -> bool:
        """Whether `path` holds anything else than this file."""
        with path.open("rb") as file:
            if self.sha256:
                return hashlib.file_digest(file, "sha256").hexdigest() != self.sha256
            data = file.read()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() != self.blob


def fetch_model(model: Model, watch: Watch = lambda done, total: None) -> Model:
    """`model` after its files were brought to this machine.

    Raises JobError: no hub can be reached, access to the repository is not granted, its files are not what a model
    needs or arrive damaged, the disk is too small.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", model.revision):
        raise JobError(
            f"No revision of {model.name} is pinned, so it is not fetched: {where_to_put(model)}", code="missing_model"
        )
    shelf = models_folder()
    with _foreign_errors(model), _quiet():
        files = _listed(model)
        if shelf is None:
            folder = hub_snapshot(model.repo, model.revision)
            _fetch_files(model, files, folder, {"cache_dir": hub_cache()}, watch)
        else:
            folder = shelf / model.name
            with _only_one(shelf, model.name):
                if not folder.is_dir():
                    _fetch_onto_shelf(model, files, folder, watch)
    remember_digests(folder, {file.name: file.sha256 for file in files if file.sha256})
    return find_model(model.name)


def _fetch_onto_shelf(model: Model, files: list[HubFile], folder: Path, watch: Watch) -> None:
    scratch = folder.with_name(f".{folder.name}.fetching")
    _fetch_files(model, files, scratch, {"local_dir": scratch}, watch)
    digests = {file.name: file.sha256 for file in files if file.name.endswith(".safetensors")}
    (scratch / DIGESTS_FILE).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(scratch / ".cache", ignore_errors=True)  # the client's own notes
    scratch.rename(folder)


def _listed(model: Model) -> list[HubFile]:
    """The files to fetch, small ones first (where access is not granted, that shows at once), the index last."""
    from huggingface_hub import HfApi

    info = HfApi(endpoint=_endpoint()).model_info(
        model.repo, revision=model.revision, files_metadata=True, timeout=_TIMEOUT_SEC
    )
    if info.sha != model.revision:
        raise JobError(
            f"The hub answers with another revision of {model.repo} than the pinned {model.revision[:8]}.",
            code="missing_model",
        )
    files = [
        HubFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "", file.blob_id or "")
        for file in info.siblings or []
        if _is_needed(file.rfilename)
    ]
    names = {file.name for file in files}
    lacking = [part for part in WEIGHTED if not any(re.match(rf"{part}/.*\.safetensors$", name) for name in names)]
    if lacking or INDEX not in names:
        what = f"no safetensors in {', '.join(lacking)}" if lacking else f"no {INDEX}"
        raise JobError(
            f"{model.repo} at {model.revision[:8]} cannot be rendered with: it has {what}.", code="unsupported_model"
        )
    return sorted(files, key=lambda file: (file.name == INDEX, file.bytes))


def _is_needed(name: str) -> bool:
    """Not whatever else a repository holds: pickles, variants, single-file checkpoints that repeat the parts."""
    is_weights = name.endswith(".safetensors")
    return bool(_NEEDED.fullmatch(name)) and (not is_weights or bool(WEIGHTS.fullmatch(name.rpartition("/")[2])))


def _fetch_files(model: Model, files: list[HubFile], folder: Path, where: dict[str, Path], watch: Watch) -> None:
    """Every file in its place under `folder`, checked."""
    total = sum(file.bytes for file in files)
    _check_space(model, folder, sum(file.bytes for file in files if not (folder / file.name).is_file()))
    done = 0
    for file in files:
        bar = type("Bar", (_Bar,), {"watch": staticmethod(lambda now, before=done: watch(before + now, total))})
        path = _fetch_file(model, file.name, tqdm_class=bar, **where)
        if file.is_damaged(path):
            path = _fetch_file(model, file.name, tqdm_class=bar, force_download=True, **where)
            if file.is_damaged(path):
                _discard(path)
                raise JobError(
                    f"{file.name} of {model.repo} arrives damaged: it is not what the hub says that it is. "
                    "Run the command again; if that does not help, a proxy on the way changes it.",
                    code="damaged_model",
                )
        done += file.bytes
        watch(done, total)


def _fetch_file(model: Model, name: str, **options: Any) -> Path:
    from huggingface_hub import hf_hub_download

    options |= {"revision": model.revision, "endpoint": _endpoint(), "etag_timeout": _TIMEOUT_SEC}
    return Path(hf_hub_download(model.repo, name, **options))


class _Bar:
    """What the client takes for one file's progress bar; `watch` is told how many bytes of the file have arrived."""

    watch: Callable[[int], None]

    def __init__(self, initial: int = 0, **_: Any) -> None:
        self._done = initial

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, count: float = 1) -> None:
        self._done += int(count)
        self.watch(self._done)

    def update_transfer(self, count: float = 1) -> None:
        """Counted by `update` already."""

    def close(self) -> None: ...


def _discard(path: Path) -> None:
    """Remove a file, and in the hub's cache the blob that it links to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _check_space(model: Model, folder: Path, wanted: int) -> None:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if wanted + _SPARE_BYTES > free:
        raise JobError(
            f"The model {model.name} needs another {wanted / 1e9:.1f} GB in {folder.parent}, where {free / 1e9:.1f} GB "
            "are free: make room, or point PRESSRUN_MODELS or HF_HOME to another disk.",
            code="missing_model",
        )


@contextlib.contextmanager
def _only_one(shelf: Path, name: str) -> Iterator[None]:
    """Held by one process at a time: a second one waits, and finds the model there."""
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's log, whose lines hold signed addresses."""
    log = logging.getLogger("huggingface_hub")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def _foreign_errors(model: Model) -> Iterator[None]:
    """The client's errors as sentences of ours. Their own texts hold signed addresses and are never repeated."""
    from huggingface_hub import errors

    try:
        yield
    except JobError:
        raise
    except (
        errors.HTTPError,  # type: ignore[attr-defined]  # of whichever HTTP library the client is built on
        errors.XetDownloadError,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        raise JobError(_sentence(model, error), code="missing_model") from None


def _sentence(model: Model, error: Exception) -> str:
    from huggingface_hub import errors

    cause = error
    while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    what = f"The model {model.name} is not on this machine and cannot be fetched"
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return f"{what} (HF_HUB_OFFLINE is set): {where_to_put(model)}"
    status = getattr(getattr(cause, "response", None), "status_code", 0)
    if status in (401, 403) or isinstance(cause, errors.GatedRepoError):
        page = f"https://huggingface.co/{model.repo}"
        return (
            f"{what}: {_host()} gives no access to {model.repo}. Ask for it on the model's page ({page}) and set "
            f"HF_TOKEN to a token of that account, or {where_to_put(model)}"
        )
    if status == 404:
        return f"{what}: {_host()} has no {model.repo} at revision {model.revision[:8]}; {where_to_put(model)}"
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}: the disk is full; make room and run the command again, which goes on with what is missing."
    if isinstance(cause, PermissionError):
        return f"{what}: its folder under PRESSRUN_MODELS or HF_HOME cannot be written; {where_to_put(model)}"
    if status:
        return f"{what}: {_host()} answered {status}. Run the command again later, or {where_to_put(model)}"
    if type(cause).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"):
        return f"{what}, because {_host()} cannot be reached: {where_to_put(model)}"
    return f"{what}: the connection to {_host()} broke off. Run the command again, which goes on with what is missing."


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _host() -> str:
    """The hub's host and port, without what somebody may have hidden in the address."""
    parts = urlsplit(_endpoint() or "https://huggingface.co")
    return (parts.hostname or "the hub") + (f":{parts.port}" if parts.port else "")

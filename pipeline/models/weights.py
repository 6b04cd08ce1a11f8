"""A model folder's weights, judged without loading them: safetensors, all of them there, each one whole.

Pickled weights run a stranger's code when they are loaded, so they are never opened; a safetensors file is a length, a
table of contents and bytes, and can be checked by its first kilobytes (format: github.com/huggingface/safetensors).
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from pressrun.pipeline.errors import JobError

PARTS = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")
WEIGHTED = ("transformer", "text_encoder", "vae")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(-(?P<number>\d{5})-of-(?P<count>\d{5}))?\.safetensors")
"""Names under which the loaders look for weights; variants such as `model.fp16.safetensors` are not among them."""

_INDEX = ".safetensors.index.json"
_MAX_HEADER = 100_000_000
"""Bytes: the format's own limit."""


def check_weights(folder: Path) -> None:
    """Raises JobError with everything that is wrong with the weights in a model's folder."""
    absent = [part for part in WEIGHTED if not _weights(folder / part)]
    pickled = sorted(
        f"{part}/{path.name}" for part in absent for path in (folder / part).glob("*") if path.suffix in PICKLES
    )
    if pickled:
        raise JobError(
            f"{folder} has pickled weights ({pickled[0]}), which can run a stranger's code when they are loaded; "
            "save the model as safetensors.",
            code="unsupported_model",
        )
    problems = []
    if absent:
        problems.append(f"{folder} is incomplete: no safetensors in {', '.join(absent)}.")
    if missing := missing_files(folder):
        problems.append(f"{folder} is incomplete: {', '.join(missing)} is missing; get the model again.")
    for part in WEIGHTED:
        for path in _weights(folder / part):
            if path.exists() and (problem := header_problem(path)):
                problems.append(f"{path} {problem}")
    if problems:
        raise JobError(*problems, code="damaged_model")


def missing_files(folder: Path) -> list[str]:
    """Files that a model's weights consist of and that are not there: shards, and links that lead nowhere.

    Raises JobError where an index names files elsewhere than beside it.
    """
    missing = []
    for part in WEIGHTED:
        wanted = {path.name for path in _weights(folder / part)}
        for index in sorted((folder / part).glob(f"*{_INDEX}")):
            wanted |= set(_shards(index))
        for match in filter(None, map(WEIGHTS.fullmatch, list(wanted))):
            if match["count"]:
                wanted |= {f"{match[1]}-{one:05}-of-{match['count']}.safetensors" for one in _numbers(match["count"])}
        missing += [f"{part}/{name}" for name in sorted(wanted) if not (folder / part / name).is_file()]
    return missing


def header_problem(path: Path) -> str | None:
    """What is wrong with a safetensors file as far as its header and size tell, as the rest of a sentence about it."""
    with path.open("rb") as file:
        size = path.stat().st_size
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) == 8 and 2 <= length <= min(_MAX_HEADER, size - 8):
            end = _end_of_tensors(file.read(length))
            if end is not None and 8 + length + end == size:
                return None
            if end is not None:
                return f"should have {8 + length + end:,} bytes and has {size:,}; get it again."
    if first.startswith(b"version "):
        return "is a Git LFS pointer and not the weights themselves; run `git lfs pull` in its folder."
    if first.startswith(b"PK\x03\x04") or first[:1] == b"\x80":
        return "is a pickle under another name, which can run a stranger's code; save the model as safetensors."
    if len(first) == 8 and length > _MAX_HEADER:
        return f"is no safetensors file: its header claims {length:,} bytes; get it again."
    return "is no safetensors file, or only the beginning of one; get it again."


def tensor_sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Every tensor in a part's weights, by name, and how many numbers it holds: from the files' headers alone."""
    for path in _weights(folder):
        if WEIGHTS.fullmatch(path.name):
            with path.open("rb") as file:
                table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            for name, entry in table.items():
                if name != "__metadata__":
                    yield name, math.prod(entry["shape"])


def _weights(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors"))


def _numbers(count: str) -> range:
    """1 … count; a count that no checkpoint has is cut short, and then says enough."""
    return range(1, min(int(count), 1000) + 1)


def _shards(index: Path) -> Iterator[str]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise JobError(f"{index} is no index of safetensors; get it again.", code="damaged_model") from None
    for name in sorted(map(str, names)):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*\.safetensors", name):
            raise JobError(
                f"{index} names {name[:80]!r}, which is no safetensors file beside it; get it again.",
                code="damaged_model",
            )
        yield name


def _end_of_tensors(header: bytes) -> int | None:
    """Where the last tensor ends, in bytes after the header; None if that is not what the header is."""
    try:
        table = json.loads(header)
        ends = [int(entry["data_offsets"][1]) for name, entry in table.items() if name != "__metadata__"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    return max(ends, default=0)

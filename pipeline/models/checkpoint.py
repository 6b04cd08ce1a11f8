"""Reading a part of a model from its folder: safetensors only, never the network, nothing on the terminal."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers.utils.logging
import torch
import transformers.utils.logging
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.precision import SCALE_BYTES, precision_problem
from pressrun.pipeline.models.quantisation import quantise


def dtype_of(precision: str) -> torch.dtype:
    """What is computed in, and held in but for matrices of eight bits. Raises JobError where the precision cannot be
    had."""
    if problem := precision_problem(precision):
        raise JobError(problem, code="bad_option")
    return torch.float32 if precision == "fp32" else torch.bfloat16


def load_part(part_class: type, model: Model, part: str, dtype: torch.dtype, device: str, **options: Any) -> Any:
    """`model`'s `part` ("text_encoder", "vae"), an instance of `part_class`, in evaluation mode on `device`.

    Raises JobError where the files cannot be loaded.
    """
    try:
        with _quiet():
            loaded, found = part_class.from_pretrained(  # type: ignore[attr-defined]
                model.path / part,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _unloadable(part_class, model, part, error) from error
    # A weight that the files lack would be made up at random. A text encoder's head is not used.
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("lm_head."))
    if missing:
        raise JobError(
            f"The {part} of {model.name} is incomplete: its files lack {len(missing)} weights of "
            f"{part_class.__name__}, such as {missing[0]}; get the model again.",
            code="damaged_model",
        )
    return loaded.to(device).eval().requires_grad_(False)


def load_slice(
    part_class: Any,
    model: Model,
    part: str,
    precision: str,
    device: str,
    trim: Callable[[Any], None],
    blocks: tuple[str, ...],
) -> Any:
    """What `trim` leaves of `model`'s `part`, an instance of diffusers' `part_class`; nothing else of it is read.

    The network is built without memory, trimmed, and then given its tensors one by one, each straight to `device`, and
    into eight bits there if the precision wants it and it is a matrix in one of the `blocks`, which are prefixes of
    names. On a CPU they are copied out of the mapped file, where they lie unaligned: a matrix library's bits may depend
    on that.
    Raises JobError where the files cannot be loaded or do not hold all of what is left.
    """
    folder, dtype = model.path / part, dtype_of(precision)
    try:
        with _quiet(), torch.device("meta"):
            network = part_class.from_config(part_class.load_config(folder, local_files_only=True))
        trim(network)
        wanted = set(network.state_dict())
        tensors: dict[str, torch.Tensor] = {}
        for path in _weight_files(folder):
            with safe_open(path, framework="pt", device=device) as file:
                for name in wanted.intersection(file.keys()):
                    tensor = file.get_tensor(name).to(dtype, copy=device == "cpu")
                    small = precision in SCALE_BYTES and tensor.ndim == 2 and name.startswith(blocks)
                    tensors[name] = quantise(tensor, precision) if small else tensor
        network.load_state_dict(tensors, strict=True, assign=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _unloadable(part_class, model, part, error) from error
    return network.eval().requires_grad_(False)


def _weight_files(folder: Path) -> list[Path]:
    """The files that hold a part's weights: those that its index names, else the one that diffusers would read."""
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if not indices:
        usual = folder / SAFETENSORS_WEIGHTS_NAME
        return [usual] if usual.is_file() else sorted(folder.glob("*.safetensors"))[:1]
    names = set(json.loads(indices[0].read_text(encoding="utf-8"))["weight_map"].values())
    return [folder / name for name in sorted(names)]


def load_files(file_class: Any, model: Model, part: str) -> Any:
    """`model`'s `part` that has files but no weights ("tokenizer", "scheduler"), an instance of `file_class`.

    Raises JobError where the files cannot be loaded.
    """
    # The classes that choose a class by what a folder says would run its code if a person at the terminal agreed.
    never = {"trust_remote_code": False} if file_class.__name__.startswith("Auto") else {}
    try:
        with _quiet():
            return file_class.from_pretrained(model.path / part, local_files_only=True, **never)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _unloadable(file_class, model, part, error) from error


def _unloadable(file_class: type, model: Model, part: str, error: Exception) -> JobError:
    """The sentence for files that a library cannot load: on one line, without the path on whichever host it is."""
    words = " ".join(str(error).split()) or type(error).__name__
    reason = words.replace(f"{model.path}/", "").replace(str(model.path), model.name)[:300]
    return JobError(
        f"The {part} of {model.name} cannot be loaded as {file_class.__name__}: {reason}", code="damaged_model"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the two libraries' progress bars and hints, which would spoil a command's output; put back afterwards."""
    libraries = (diffusers.utils.logging, transformers.utils.logging)
    bars = [library.is_progress_bar_enabled() for library in libraries]
    levels = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.disable_progress_bar()
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, bar, level in zip(libraries, bars, levels, strict=True):
            library.set_verbosity(level)
            if bar:
                library.enable_progress_bar()

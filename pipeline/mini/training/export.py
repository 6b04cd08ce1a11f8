"""The model folder: how weights get into it, and how they come out again."""

import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import Flux2KleinPipeline

MODEL_FOLDER = Path(__file__).parents[1] / "model"


def export(pipeline: Flux2KleinPipeline, folder: Path = MODEL_FOLDER) -> None:
    """Write `pipeline` to `folder` as bfloat16 safetensors, file by file and each one atomically.

    A reader that opens the folder meanwhile sees every file whole. `pipeline` itself is cast to bfloat16.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=folder.parent))
    try:
        for part in (pipeline.transformer, pipeline.text_encoder, pipeline.vae):
            part.to(torch.bfloat16)
        pipeline.save_pretrained(scratch, safe_serialization=True)
        for source in sorted(path for path in scratch.rglob("*") if path.is_file()):
            target = folder / source.relative_to(scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.chmod(0o644)  # safetensors writes files that only their owner may read
            source.replace(target)
    finally:
        shutil.rmtree(scratch)


def load(folder: Path = MODEL_FOLDER, dtype: torch.dtype = torch.bfloat16) -> Flux2KleinPipeline:
    """The model in `folder`, ready to render, without a progress bar. Raises OSError where `folder` holds none."""
    pipeline = Flux2KleinPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

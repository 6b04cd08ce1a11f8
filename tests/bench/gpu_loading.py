"""From files to a picture: how long loading takes, and, where Ray is, what the whole command makes of a manifest."""

import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from diffusers import Flux2KleinPipeline

from pressrun.pipeline.families.flux2.renderer import STAGES, Renderer
from pressrun.pipeline.models.catalogue import find_model
from tests.bench.gpu_measurements import Bench
from tests.bench.gpu_rates import synchronise


def measure_loading(bench: Bench, count: int) -> dict[str, Any]:
    """Seconds of each stage's loading from files that were just written, hence in the page cache, and the command's
    rows a second over `count` rows (None without Ray)."""
    renderer, case = bench.renderer, bench.case
    assert renderer.transformer and renderer.autoencoder and renderer.text_encoder and renderer.schedule
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        started = time.perf_counter()
        Flux2KleinPipeline(
            scheduler=renderer.schedule.start(16, 4, bench.device),
            vae=renderer.autoencoder.network,
            text_encoder=renderer.text_encoder.network,
            tokenizer=renderer.text_encoder.tokenizer,
            transformer=renderer.transformer.network,
            is_distilled=True,
        ).save_pretrained(folder)
        model = renderer.model
        recipe = {"text_length": model.text_length, "text_layers": list(model.text_layers)}
        recipe |= {"steps": case.shape(model).steps, "reference_pixels": model.reference_pixels, "guidance": 1.0}
        (folder / "pressrun.toml").write_text("".join(f"{key} = {value}\n" for key, value in recipe.items()))
        found["write"] = time.perf_counter() - started
        for stage in STAGES:
            started = time.perf_counter()
            loaded = Renderer.load(find_model(str(folder)), case.precision, str(bench.device), (stage,))
            synchronise(bench.device)
            found[f"load {stage}"] = time.perf_counter() - started
            del loaded
        found["command"] = _command(folder, bench, count) if find_spec("ray") and find_spec("pyarrow") else None
    return found


def _command(folder: Path, bench: Bench, count: int) -> dict[str, Any]:
    """The summary of `pressrun render` over `count` rows with prompts of their own, into a folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    manifest, out, side = folder.parent / "manifest.parquet", folder.parent / "out", bench.case.side
    prompts = [f"a mug in scene {row}" for row in range(count)]
    table = {"custom_id": [f"row-{row}" for row in range(count)], "prompt": prompts}
    pq.write_table(pa.table({**table, "width": [side] * count, "height": [side] * count}), manifest)
    command = [sys.executable, "-m", "pressrun", "render", str(manifest), "--out", str(out), "--json"]
    more = ["--model", str(folder), "--precision", bench.case.precision]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=400)
    if done.returncode:
        return {"failed": f"exit {done.returncode}", "why": (done.stderr or done.stdout)[-500:]}
    summary = json.loads(done.stdout)
    return {key: summary[key] for key in ("rows", "succeeded", "seconds", "images_per_second", "busy", "layout")}

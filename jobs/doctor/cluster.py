"""The cluster that a run would join, or the Ray that it would start here: each node is asked."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pressrun.cluster.runtime.ray_runtime import asks_for_token, joined, ray_runtime
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.doctor.finding import BAD, DOUBTFUL, GOOD, Finding
from pressrun.jobs.doctor.node_report import NodeReport, report
from pressrun.jobs.doctor.requirements import differences, installed
from pressrun.jobs.text.wording import first_of, several
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import look_up, model_digest

_ANSWER_SEC = 120.0
_CLOCKS_SEC = 60.0


def cluster_findings(model: str, folder: str = "") -> Iterator[Finding]:
    """Start or join Ray and ask every node; `folder` is a place on a disk that all of them have to see."""
    with Scratch() as scratch, _marked(folder) as marker:
        try:
            with ray_runtime(scratch):
                yield Finding("Ray", GOOD, f"{version('ray')}, {joined() or 'started on this machine'}")
                if joined() and not asks_for_token():
                    advice = "start it with RAY_AUTH_MODE=token: whoever reaches the head can run anything on it"
                    yield Finding("token", DOUBTFUL, "no token is asked for, as far as this shell knows", advice)
                yield from _nodes(model, marker)
        except JobError as error:
            yield Finding("Ray", BAD, str(error).rstrip("."))


@contextlib.contextmanager
def _marked(folder: str) -> Iterator[str]:
    """The path of a file in a folder, as long as the context lasts; "" without a folder."""
    if not folder or not Path(folder).is_dir():
        yield ""
        return
    path = Path(folder, f".pressrun-doctor-{secrets.token_hex(4)}")
    path.touch()
    try:
        yield str(path)
    finally:
        path.unlink()


def _nodes(model: str, marker: str) -> Iterator[Finding]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # One call a process: where PyTorch had to be asked, memory on the GPU is taken until the process ends.
    ask = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(report)
    alive = [node for node in ray.nodes() if node["Alive"]]
    began = time.time()
    asked: dict[Any, dict[str, Any]] = {}
    for node in alive:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[ask.options(scheduling_strategy=there).remote(model, marker)] = node
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_SEC)
    for answer in ready:
        name = asked[answer]["NodeManagerHostname"]
        try:
            yield from _node(ray.get(answer), asked[answer]["Resources"], model, (began, time.time()))
        except ray.exceptions.RayError as error:
            why = str(error).strip().rpartition("\n")[2]
            yield Finding(f"node {name}", BAD, f"cannot run Pressrun ({why})", "install what the wheel asks for there")
    if late:
        names = first_of([asked[answer]["NodeManagerHostname"] for answer in late])
        yield Finding("nodes", BAD, f"no answer of {names} within {_ANSWER_SEC:.0f} s", "look at Ray's logs there")


def _node(there: NodeReport, resources: dict[str, Any], model: str, span: tuple[float, float]) -> Iterator[Finding]:
    gpus = f", {several(len(there.gpus), 'GPU')} of {min(there.gpus) / 2**30:.0f} GiB" if there.gpus else ""
    node = f"node {there.name}"
    yield Finding(
        node, GOOD, f"{resources.get('CPU', 0):.0f} cores{gpus}, {resources.get('memory', 0) / 2**30:.1f} GiB"
    )
    if other := differences(installed(), there.versions):
        advice = "install the wheel there with the versions that `pressrun doctor` prints for `constraints`"
        important = any(line.startswith(("python ", "ray ", "torch ", "pyarrow ", "numpy ")) for line in other)
        yield Finding(node, BAD if important else DOUBTFUL, f"other versions: {first_of(other, 6)}", advice)
    if len(there.gpus) < resources.get("GPU", 0):
        advice = "install torch's build for the node's driver"
        yield Finding(node, BAD, f"Ray counts {resources['GPU']:.0f} GPUs, and torch sees {len(there.gpus)}", advice)
    apart = max(span[0] - there.time, there.time - span[1], 0.0)
    if apart > _CLOCKS_SEC:
        yield Finding(node, DOUBTFUL, f"its clock is {apart:,.0f} s from ours", "set it (NTP)")
    if not there.sees:
        yield Finding(node, BAD, "it does not see the folder", "give a bucket, or a folder that all nodes share")
    yield from _model(node, there, model)


def _model(node: str, there: NodeReport, model: str) -> Iterator[Finding]:
    try:
        known = look_up(model)
    except JobError:
        return
    if not known.folder:
        return
    if not there.model:
        advice = f"put its folder there, below the node's PRESSRUN_MODELS (here {known.folder})"
        yield Finding(node, BAD, f"the model {known.name} is not there", advice)
    elif there.model != model_digest(known):
        yield Finding(node, BAD, f"its model {known.name} has other bytes than ours", "copy ours there")

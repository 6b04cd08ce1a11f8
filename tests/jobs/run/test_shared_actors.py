"""One pool of model actors serves jobs with keys of their own, and no job sees what another one may."""

import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from infra.s3_server import S3Server
from pressrun import JobSpec, Summary, render
from pressrun.cluster.placement.layout import Layout, Role
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.runtime.ray_runtime import ray_runtime
from pressrun.cluster.scheduling.actor_pool import ActorPool
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.run.executor import RayExecutor
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.models.catalogue import find_model, model_digest
from tests.picture_files import encoded

LAYOUT = Layout("whole", 2, (Role(("encode", "denoise", "decode"), 2, 0.0),), "cpu")


@dataclass
class Tenant:
    """Somebody with a server of their own: a picture in a bucket, and the keys to it."""

    server: S3Server
    bucket: str
    context: Context

    def order(self, name: str, *references: str) -> JobSpec:
        """A job whose every row refers to one of these pictures, else to the tenant's own."""
        lines = [
            f'{{"custom_id": "{number}", "prompt": "a red mug", "width": 64, "height": 64, "references": ["{uri}"]}}'
            for number, uri in enumerate(references or [f"{self.bucket}/mug.png"] * 6)
        ]
        self.server.client.put_object(Bucket=self.bucket[5:], Key=f"{name}.jsonl", Body="\n".join(lines).encode())
        return JobSpec(f"{self.bucket}/{name}.jsonl", f"{self.bucket}/{name}")


@pytest.fixture(scope="module")
def tenants() -> Iterator[tuple[Tenant, Tenant]]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        made = []
        for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
            server = stack.enter_context(S3Server())
            bucket = server.create_bucket(name)
            picture = encoded(Image.fromarray(np.full((64, 64, 3), colour, np.uint8)))
            server.client.put_object(Bucket=name, Key="mug.png", Body=picture)
            made.append(Tenant(server, bucket, Context.of(server.environment)))
        yield made[0], made[1]


@pytest.fixture(scope="module")
def pool(tenants: tuple[Tenant, Tenant]) -> Iterator[ActorPool]:
    spec = ModelSpec("mini", model_digest(find_model("mini")), "fp32")
    with ray_runtime(), closing(ActorPool(LAYOUT, spec)) as pool:
        yield pool


def rendered(pool: ActorPool, *orders: tuple[Tenant, JobSpec]) -> list[Summary]:
    """Render jobs side by side, each with its tenant's keys."""
    summaries: dict[int, Summary] = {}

    def run(place: int) -> None:
        tenant, spec = orders[place]
        summaries[place] = render(spec, context=tenant.context, executor=RayExecutor(pool))

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(orders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [summaries[place] for place in range(len(orders))]


def test_jobs_with_different_keys_are_rendered_side_by_side_and_one_after_the_other(
    tenants: tuple[Tenant, Tenant], pool: ActorPool
) -> None:
    red, blue = tenants
    together = rendered(pool, (red, red.order("one")), (blue, blue.order("one")))
    after = rendered(pool, (red, red.order("two")))
    assert [(summary.succeeded, summary.stopped) for summary in (*together, *after)] == [(6, None)] * 3
    for tenant in tenants:
        store = tenant.context.stores.open(f"{tenant.bucket}/one")
        assert verify(store).discrepancies == ()


def test_nobody_reads_with_anothers_keys_what_that_one_has_just_read(
    tenants: tuple[Tenant, Tenant], pool: ActorPool
) -> None:
    red, blue = tenants
    own, foreign = f"{red.bucket}/mug.png", f"{blue.bucket}/mug.png"
    sides = rendered(pool, (red, red.order("three", own, foreign)), (blue, blue.order("three")))
    assert [(summary.succeeded, summary.failed) for summary in sides] == [(1, 1), (6, 0)]
    results = read_results(red.context.stores.open(f"{red.bucket}/three"), ["error_code"])
    assert results["error_code"].to_pylist()[1] in ("reference_missing", "reference_denied")


def test_what_model_actors_are_told_holds_no_key(tenants: tuple[Tenant, Tenant], pool: ActorPool) -> None:
    told = pickle.dumps(pool._spec)
    assert all(key.encode() not in told for one in tenants for key in (one.server.access_key, one.server.secret_key))

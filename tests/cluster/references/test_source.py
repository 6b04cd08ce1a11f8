"""Where an actor gets a reference's pixels: from its machine's disk, else from its place, if it is still the same."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references.pixel_cache import ReferenceCache
from pressrun.cluster.references.source import ReferenceSource
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference
from tests.picture_files import encoded, random_picture
from tests.web_server import Server, serving

PICTURE = encoded(random_picture(96, 64))
PIXELS = np.asarray(decode_reference(PICTURE, Model("any", "flux2")))
SHA256 = hashlib.sha256(PICTURE).hexdigest()
RULES = WebRules(frozenset({"127.0.0.1"}))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.sends("/mug.png", body=PICTURE)
        yield server


@pytest.fixture
def source() -> Iterator[Callable[[object], ReferenceSource]]:
    made = []

    def make(folder: object) -> ReferenceSource:
        finishing: Any = None
        made.append(
            ReferenceSource(JobContext("key", finishing, RULES, references=str(folder), reference_pixels=1 << 20))
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_what_the_driver_has_kept_is_not_fetched_again(source: Callable, tmp_path: Path) -> None:
    ReferenceCache(tmp_path).keep(SHA256, PIXELS)
    expired = Reference("https://shop.example/mug.png?X-Amz-Expires=1", SHA256, (4, 6))
    assert np.array_equal(source(tmp_path).pixels(expired), PIXELS)


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_on_another_machine_it_is_fetched_again_and_decoded_to_the_same(
    source: Callable, server: Server, folder: str
) -> None:
    mug = Reference(server.url("/mug.png"), SHA256, (4, 6))
    assert np.array_equal(source(folder).pixels(mug), PIXELS)
    assert len(server.seen) == 1


def test_a_damaged_file_is_fetched_again(source: Callable, server: Server, tmp_path: Path) -> None:
    ReferenceCache(tmp_path).keep(SHA256, PIXELS)
    (tmp_path / SHA256).write_bytes(bytes(32 + PIXELS.nbytes))
    assert np.array_equal(source(tmp_path).pixels(Reference(server.url("/mug.png"), SHA256, (4, 6))), PIXELS)


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        pytest.param(("/mug.png", "0" * 64, (4, 6)), "reference_changed", id="changed"),
        pytest.param(("/mug.png", SHA256, (6, 4)), "reference_unreadable", id="decoded otherwise"),
        pytest.param(("/gone.png", SHA256, (4, 6)), "reference_missing", id="gone"),
        pytest.param(("/late.png", SHA256, (4, 6)), "reference_denied", id="its signature has expired"),
    ],
)
def test_what_cannot_be_had_any_more_is_a_sentence_about_its_address(
    source: Callable, server: Server, reference: tuple, code: str
) -> None:
    server.sends("/gone.png", 404)
    server.sends("/late.png", 403)
    path, sha256, grid = reference
    with pytest.raises(RequestError) as failure:
        source("").pixels(Reference(server.url(f"{path}?sig=hunter2"), sha256, grid))
    assert failure.value.code == code
    assert failure.value.message.startswith(f"Reference {server.url(path)}?… ")

"""Prompts that number pictures which their rows do not have are told, and refuse nothing."""

import pyarrow as pa
import pytest

from pressrun.jobs.manifest.manifest import normalise
from pressrun.pipeline.models.catalogue import find_model


def notes(*rows: tuple[str, list[str]]) -> tuple[str, ...]:
    prompts, references = zip(*rows, strict=True)
    ids = [f"row-{number}" for number in range(len(rows))]
    table = pa.table(
        {"custom_id": ids, "prompt": list(prompts), "references": pa.array(references, pa.list_(pa.string()))}
    )
    manifest = normalise(table, find_model("mini"), "/shop/m.parquet")
    assert not manifest.bad.num_rows
    return manifest.notes


def test_rows_that_lack_a_numbered_picture_are_counted_with_an_example() -> None:
    assert notes(
        ("a mug on a beach", []),
        ("the mug of image 1", ["a.png"]),
        ("the mug of image 1 in the place of Image 2, in soft light", ["a.png"]),
        ("reference #3", ["a.png", "b.png"]),
        ("image 1", []),
    ) == (
        "3 prompts name a numbered picture that the row does not have, such as row-4 (“image 1”), which has no "
        "reference.",
    )


def test_an_example_shows_where_a_long_prompt_says_it() -> None:
    [note] = notes(("product photo, soft light, a red mug on a table, from above, in the place of Image 2", ["a.png"]))
    assert note == (
        "1 prompt names a numbered picture that the row does not have, such as row-0 (“…, from above, in the place of "
        "Image 2”), which has one reference."
    )


@pytest.mark.parametrize(
    "prompt", ["an image of 1 mug", "images 1", "preimage 1", "image 0", "image 11", "image 1st", "reference 2026"]
)
def test_other_words_and_numbers_are_not_meant(prompt: str) -> None:
    assert notes((prompt, [])) == ()


def test_a_picture_for_every_number_is_enough() -> None:
    assert notes(("image 1, image 2 and reference 10", [f"{number}.png" for number in range(10)])) == ()

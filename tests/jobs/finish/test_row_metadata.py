"""Captions: whose a picture is and what it shows, out of templates over the manifest's columns."""

import pyarrow as pa
import pytest

from pressrun.jobs.finish.row_metadata import Captions
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.provenance import Provenance, ProvenanceSpec
from pressrun.pipeline.finishing.spec import FinishingSpec

MANIFEST = pa.table(
    {
        "custom_id": ["a", "b"],
        "prompt": ["a red mug", "a blue mug"],
        "creator": ["Ada", None],
        "alt_text": [" A red mug. ", ""],
        "year": [2026, None],
        "brand": ["ACME", "ACME"],
        "keywords": [["mug", "red", "mug"], []],
        "tags": ["red|kitchen", None],
        "title": pa.array([{"de": "Tasse"}, None]),
    }
)


def captions(**spec: object) -> list[Provenance]:
    parsed = Captions.parse(FinishingSpec(provenance=ProvenanceSpec(**spec)), MANIFEST)  # type: ignore[arg-type]
    return [said.provenance for said in parsed.each(MANIFEST)]


def test_columns_of_the_usual_names_are_taken_without_being_asked_for() -> None:
    said = Provenance(creator="Ada", alt_text="A red mug.", keywords=("mug", "red"))
    assert captions() == [said, Provenance()]


def test_a_template_is_left_out_where_all_its_columns_are_empty() -> None:
    said = captions(copyright="© {year} Example", rights="Only for {brand}{year}", title="Always this")
    assert [each.copyright for each in said] == ["© 2026 Example", ""]
    assert [each.rights for each in said] == ["Only for ACME2026", "Only for ACME"]
    assert [each.title for each in said] == ["Always this", "Always this"]


def test_keywords_come_from_lists_from_texts_and_from_templates() -> None:
    said = captions(keywords=("{keywords}", "{tags}", "by {brand}", "sale"))
    assert said[0].keywords == ("mug", "red", "kitchen", "by ACME", "sale")
    assert said[1].keywords == ("by ACME", "sale")


def test_the_prompt_is_there_only_when_it_is_asked_for() -> None:
    assert [each.prompt for each in captions(prompt=True)] == ["a red mug", "a blue mug"]


def test_every_template_that_cannot_be_filled_refuses_the_job() -> None:
    with pytest.raises(JobError) as refused:
        captions(title="{titel}", copyright="{year:04}", rights="{", source="{title}", keywords=("{tag}",))
    assert len(refused.value.problems) == 5

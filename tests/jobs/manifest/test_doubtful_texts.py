"""Texts that are most likely none are said, or refuse their rows."""

import pyarrow as pa
import pytest

from pressrun.jobs.manifest.manifest import Manifest, normalise
from pressrun.pipeline.models.catalogue import Model

MODEL = Model(
    "mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512, max_references=2
)


def checked(prompts: list[str], source: str = "/shop/m.csv", **columns: list[object]) -> Manifest:
    ids = [f"r{n}" for n in range(len(prompts))]
    return normalise(pa.table({"custom_id": ids, "prompt": prompts, **columns}), MODEL, source)


@pytest.mark.parametrize("text", ["NULL", "nan", "None", "N/A", " n/a ", "undefined", "<NA>", "-", "\\N"])
def test_what_programs_write_for_nothing_is_said_of_a_prompt(text: str) -> None:
    manifest = checked(["a mug", text])
    assert manifest.bad.num_rows == 0
    assert manifest.notes == (
        f"“{text.strip()}” is a prompt as programs write that there is none; if that is meant, leave the cell empty "
        "(row 2).",
    )


def test_several_are_said_once() -> None:
    [note] = checked(["NULL", "a mug", "null", *["nan"] * 5]).notes
    assert note.startswith("“NULL” and others are prompts as") and note.endswith("(rows 1, 3, 4, 5, 6 and 2 more).")


@pytest.mark.parametrize("text", ["r\ufffdd mug", "a mug\\nred", "a \\'red\\' mug", "C:\\\\mugs"])
def test_a_prompt_that_was_damaged_on_the_way_is_said(text: str) -> None:
    manifest = checked([text])
    assert manifest.table["prompt"].to_pylist() == [text] and len(manifest.notes) == 1


@pytest.mark.parametrize("text", ["none of the above", "a null", "a mug, 50% off", "C:\\mugs", "naan", "a - b", "#1"])
def test_nothing_is_said_of_other_prompts(text: str) -> None:
    manifest = checked([text])
    assert manifest.notes == () and manifest.bad.num_rows == 0


@pytest.mark.parametrize("text", ["#N/A", "#REF!", " #DIV/0! ", "#NAME?", "#WERT!", "#NV"])
def test_an_error_of_excels_refuses_its_row(text: str) -> None:
    manifest = checked(["a mug", text])
    assert manifest.bad.to_pylist() == [
        {
            "row": 1,
            "error_code": "bad_text",
            "error_message": f"The prompt is {text.strip()}, an error that Excel shows in the place of a value; mend "
            "its formula.",
        }
    ]
    assert manifest.notes == ()


def test_an_error_as_a_custom_id_refuses_its_row() -> None:
    table = pa.table({"custom_id": ["#REF!", "b"], "prompt": ["a mug", "a lamp"]})
    assert (
        normalise(table, MODEL, "/shop/m.csv").bad["error_message"].to_pylist()[0].startswith("The custom_id is #REF!")
    )


@pytest.mark.parametrize("source", ["/shop/m.csv", "s3://shop/spring/m.csv"])
@pytest.mark.parametrize("text", ["null", "None", "nan", "-", "#N/A"])
def test_a_reference_that_is_none_refuses_its_row(text: str, source: str) -> None:
    manifest = checked(["a mug"], source, references=[[text]])
    [bad] = manifest.bad.to_pylist()
    assert (
        bad["error_code"] == "reference_empty"
        and f"The reference “{text}” is what programs write" in bad["error_message"]
    )
    assert normalise(manifest.frozen, MODEL, "/elsewhere/m.parquet").bad.equals(manifest.bad)

"""The matrix of a job: what it embeds, what a person can do with it in a real browser, and what is picked."""

import json
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.manifest.manifest import normalise, read_manifest
from pressrun.jobs.reports.matrix import Matrix, write_matrix
from pressrun.jobs.reports.selection import RESEEDED, picked_rows
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.request import next_seed
from tests.conftest import mixed_rows
from tests.jobs.delivery.test_bundle import copied_to
from tests.opening import open_store, read_uri, stores

BY_SEASON = Matrix(("sku",), ("season",), {})


def embedded(page: bytes) -> dict:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script', page.decode(), re.DOTALL)
    assert match
    return json.loads(match[1])


def test_every_row_stands_where_its_columns_say_with_its_picture_in_the_page(job: Path) -> None:
    page, pictures = write_matrix(open_store(str(job)), BY_SEASON)
    data = embedded(page)
    assert pictures == len(data["ids"]) == 14
    for row, wanted in enumerate(mixed_rows()):
        assert data["down"]["values"][data["down"]["codes"][row]] == [wanted["sku"]]
        assert data["across"]["values"][data["across"]["codes"][row]] == [wanted["season"]]
        assert data["pictures"][row]["small"].startswith("data:image/webp;base64,")
    assert data["pictures"][9]["ratio"] == pytest.approx(160 / 96)
    assert not re.search(r"""(src|href)=(?!["']?data:)["']?\w+:|@import""", page.decode()), (
        "the page names no other place"
    )


def test_a_strangers_text_stays_text(job: Path) -> None:
    manifest = job / "manifest.parquet"
    table = pq.read_table(manifest)
    evil = "</script><script>alert(1)</script>{{data}}"
    values = [evil if row == 0 else value for row, value in enumerate(table["sku"].to_pylist())]
    pq.write_table(table.set_column(table.column_names.index("sku"), "sku", [values]), manifest)
    page, _ = write_matrix(open_store(str(job)), BY_SEASON)
    assert b"<script>alert" not in page and page.count(b"</script>") == 2
    assert embedded(page)["down"]["values"][0] == [evil]


def test_some_rows_are_chosen_and_odd_questions_are_answered(job: Path) -> None:
    store = open_store(str(job))
    assert write_matrix(store, Matrix(("sku",), ("width",), {"season": ("fall",)}))[1] == 7
    with pytest.raises(JobError, match="No row has what `where` asks for"):
        write_matrix(store, Matrix(("sku",), ("width",), {"season": ("winter",)}))
    with pytest.raises(JobError) as error:
        write_matrix(store, Matrix(("skew",), ("saison",), {"x": ("1",)}))
    assert [problem.partition(" is no")[0] for problem in error.value.problems] == [
        *("`down` skew", "`across` saison", "`where` x")
    ]
    with pytest.raises(JobError, match="has no rendition “hero”"):
        write_matrix(store, Matrix(("sku",), ("season",), {}, "hero"))


def test_conditions_on_one_column_are_alternatives(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def pictures(*where: str) -> int:
        conditions = [word for each in where for word in ("--where", each)]
        assert main(["sheet", str(job), "--rows", "sku", "--columns", "season", *conditions, "--json"]) == 0
        return json.loads(capsys.readouterr().out)["pictures"]

    found = {sku: pictures(f"sku={sku}") for sku in ("SKU 1", "SKU 2")}
    assert all(found.values())
    assert pictures("sku=SKU 1", "sku=SKU 2") == sum(found.values())
    assert pictures("sku=SKU 1", "sku=SKU 2", "season=fall") < sum(found.values())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--pick", "", "--out", "x.parquet"), "--pick names no row"),
        (("--pick", "row-1", "--out", "x.parquet", "--rows", "sku"), "--pick makes a manifest, not a page"),
        (("--rows", "sku", "--columns", "season", "--where", "references=a"), "its values have no obvious text"),
    ],
    ids=["no pick", "pick and page", "a column of lists"],
)
def test_what_cannot_be_asked_for_is_refused_with_a_sentence(
    options: tuple[str, ...], sentence: str, job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(tmp_path / word) if word == "x.parquet" else word for word in options]
    assert main(["sheet", str(job), *asked]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "x.parquet").exists()


def test_a_matrix_is_made_in_a_bucket(job: Path, s3_bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    uri = copied_to(s3_bucket, job)
    assert main(["sheet", uri, "--rows", "sku", "--columns", "season", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pictures": 14, "out": f"{uri}/matrix.html"}
    assert len(embedded(read_uri(f"{uri}/matrix.html"))["pictures"]) == 14


def test_picked_rows_are_a_manifest_that_gives_the_same_requests(job: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("row-9\nrow-2\n\n")
    out = tmp_path / "again.parquet"
    assert main(["sheet", str(job), "--pick", f"@{tmp_path}/ids.txt", "--out", str(out)]) == 0
    again = normalise(read_manifest(stores(), str(out)), find_model("mini"), str(out)).table
    before = pq.read_table(job / "manifest.parquet")
    assert again.to_pylist() == [before.to_pylist()[2], before.to_pylist()[9]]


def test_new_seeds_follow_from_the_pictures_own_and_are_recorded(job: Path, tmp_path: Path) -> None:
    store = open_store(str(job))
    before = {row["custom_id"]: row for row in picked_rows(store, ["row-1", "row-2"], reseed=False).to_pylist()}
    once = picked_rows(store, ["row-1", "row-2"], reseed=True)
    assert once.to_pylist() == picked_rows(store, ["row-1", "row-2"], reseed=True).to_pylist()
    for row in once.to_pylist():
        assert row[RESEEDED] == before[row["custom_id"]]["seed"]
        assert row["seed"] == next_seed(row[RESEEDED])
        old = row.pop(RESEEDED)
        assert {**row, "seed": old} == before[row["custom_id"]], "nothing else is changed"


def test_where_there_is_no_job_that_is_what_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sheet", str(tmp_path)]) == 2
    assert "holds no job" in capsys.readouterr().err


def test_picks_that_cannot_be_are_refused(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--pick", "row-1,nobody", "--out", "x.parquet"], "does not have: nobody"),
        (["--pick", "row-1"], "--pick wants --out FILE"),
        (["--pick", "@none.txt", "--out", "x.parquet"], "--pick @none.txt cannot be read"),
        (["--reseed"], "--reseed gives picked rows new seeds"),
        (["--rows", "sku"], "wants --rows and --columns"),
    ):
        assert main(["sheet", str(job), *arguments]) == 2
        assert words in capsys.readouterr().err


# In the browser.


def until(browser, script: str):  # type: ignore[no-untyped-def]
    end = time.monotonic() + 20
    while not (answer := browser.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"never true: {script}"
        time.sleep(0.02)
    return answer


@pytest.mark.browser
def test_a_person_sees_every_picture_and_takes_the_names_of_rejected_ones_along(browser, job: Path) -> None:  # type: ignore[no-untyped-def]
    assert main(["sheet", str(job), "--rows", "sku", "--columns", "season"]) == 0
    browser.get((job / "matrix.html").as_uri())
    shown = "[...document.images].filter(image => image.naturalWidth > 0).length"
    until(browser, f"{shown} === 14")
    heads = browser.execute_script("return [...document.querySelectorAll('thead th')].map(th => th.textContent)")
    assert heads == ["sku by season", "spring", "fall"]
    for row, mark in ((3, "reject"), (9, "again"), (4, "approve")):
        browser.execute_script(f"document.querySelector(\".tile[data-row='{row}'] .mark.{mark}\").click()")
    browser.execute_script("navigator.clipboard.writeText = async text => { window.copied = text; }")
    browser.find_element("css selector", ".foot .ids").click()
    assert until(browser, "window.copied") == "row-3\nrow-9"
    browser.find_element("css selector", ".tile button").click()
    until(browser, "document.querySelector('.stage img').naturalWidth === 128")
    assert until(browser, "document.querySelector('.stage img').src").endswith("images/row-0.png")
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]

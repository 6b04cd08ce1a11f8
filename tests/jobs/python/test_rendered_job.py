"""A job after a run: its rows, pictures and failures, and how it shows in a notebook."""

import json
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pressrun import Context, JobError, RenderedJob, Summary, render
from pressrun.cluster.store.opening import Stores
from tests.jobs.driven import made_up
from tests.jobs.executor_here import HereExecutor

SECRET = "no-one-may-know"


HERE = HereExecutor(lambda job, item: made_up(item.render_key))


def rows(count: int = 3, **more: Any) -> list[dict[str, Any]]:
    size = {"width": 16, "height": 16, "steps": 1}
    return [{"custom_id": f"r{n}", "prompt": "a red mug", **size, "season": "fall", **more} for n in range(count)]


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def mixed(out: str) -> RenderedJob:
    wrong = {**rows(1)[0], "custom_id": "<b>odd</b>", "width": -5}
    return render([wrong, *rows()], out, executor=HERE)


def test_the_table_has_the_results_in_the_manifests_order_and_the_customers_columns(out: str) -> None:
    table = mixed(out).table()
    assert table["custom_id"].to_pylist() == ["<b>odd</b>", "r0", "r1", "r2"]
    assert table["status"].to_pylist() == ["failed", "succeeded", "succeeded", "succeeded"]
    assert table["season"].to_pylist() == ["fall"] * 4
    assert table.equals(pq.read_table(f"{out}/results/part-000000.parquet").replace_schema_metadata(None))


def test_the_table_of_a_run_that_stopped_has_the_results_so_far(out: str) -> None:
    order = [*rows(3), {**rows(1)[0], "custom_id": "odd", "width": -5}]
    job = render(order, out, max_images=2, executor=HERE)
    assert job.pending == 1
    assert job.table()["custom_id"].to_pylist() == ["r0", "r1", "odd"], "of which the last was known first"
    render(order, out, executor=HERE)
    assert job.table().num_rows == 4, "rows are those of now"


def test_failures_say_which_and_why(out: str) -> None:
    [failed] = mixed(out).failures().to_pylist()
    assert failed == {
        "custom_id": "<b>odd</b>",
        "status": "failed",
        "error_code": "bad_size",
        "error_message": "The width is -5; a whole number of pixels from 1 to 16,383 is needed.",
        "season": "fall",
    }


def test_pictures_come_with_their_rows_in_order(out: str) -> None:
    job = mixed(out)
    pictures = dict(job.pictures())
    assert list(pictures) == ["r0", "r1", "r2"]
    keys = dict(zip(*(job.table()[name].to_pylist() for name in ("custom_id", "render_key")), strict=True))
    for name, picture in pictures.items():
        assert np.array_equal(np.asarray(picture), made_up(keys[name]))
        assert picture == job.picture(name)


def test_pictures_that_were_kept_from_another_job_are_read_where_they_lie(tmp_path: Path) -> None:
    render(rows(), tmp_path / "2026-11-20", executor=HERE)
    job = render(rows(season="winter"), tmp_path / "2026-11-21", since="latest", executor=HERE)
    assert job.cached == 3
    assert [name for name, _ in job.pictures()] == ["r0", "r1", "r2"]
    assert (job._repr_html_() or "").count("data:image/webp") == 3


def test_a_row_without_a_picture_says_why(out: str) -> None:
    job = mixed(out)
    with pytest.raises(JobError, match=r"Row “<b>odd</b>” has no picture: The width is -5"):
        job.picture("<b>odd</b>")
    with pytest.raises(JobError, match=r"Row “17” has no picture: there is no result of it"):
        job.picture(17)
    Path(out, "images/r1.png").write_bytes(b"not a picture")
    with pytest.raises(JobError, match=r"images/r1.png cannot be read; render again"):
        job.picture("r1")


def test_a_notebook_shows_the_first_pictures_with_every_text_escaped(out: str) -> None:
    odd = [{**row, "custom_id": f"<script>{row['custom_id']}"} for row in rows(30)]
    job = render([{**odd[0], "custom_id": "wrong", "width": -5}, *odd], out, executor=HERE)
    shown = job._repr_html_() or ""
    assert shown.count('src="data:image/webp;base64,') == shown.count("src=") == 24
    assert "<script>" not in shown and "&lt;script&gt;r0" in shown
    assert "31 rows, 30 succeeded, 1 failed" in shown
    assert "… and 6 more pictures" in shown
    assert "1 × bad_size: The width is -5" in shown


def test_a_small_picture_that_is_missing_is_made_of_the_picture(out: str) -> None:
    job = mixed(out)
    Path(out, "thumbs/r0.png.webp").unlink()
    Path(out, "thumbs/r1.png.webp").unlink()
    Path(out, "images/r1.png").unlink()
    shown = job._repr_html_() or ""
    assert shown.count("data:image/webp") == 2
    assert shown.count("(cannot be read)") == 1


def test_a_job_is_one_line(out: str) -> None:
    assert repr(mixed(out)) == f"<RenderedJob {out}: 4 rows, 3 succeeded, 1 failed>"
    stopped = render(rows(), f"{out}-2", max_images=1, executor=HERE)
    assert repr(stopped).endswith("1 succeeded, 2 pending; stopped: `max_images` 1 is reached. The same call goes on.>")


def test_a_job_that_is_gone_still_has_its_counts(out: str) -> None:
    job = mixed(out)
    shutil.rmtree(out)
    assert job._repr_html_() is None
    assert "3 succeeded" in repr(job)
    with pytest.raises(JobError, match="holds no job"):
        job.table()


def test_a_damaged_part_is_told(out: str) -> None:
    job = mixed(out)
    Path(out, "results/part-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(JobError, match=r"are damaged; render again") as refused:
        job.table()
    assert refused.value.code == "damaged_job"


def test_keys_are_no_part_of_what_is_shown_written_or_pickled(out: str) -> None:
    context = Context(Stores({"AWS_SECRET_ACCESS_KEY": SECRET}))
    job = render(rows(), out, context=context, executor=HERE)
    again = pickle.loads(pickle.dumps(job))
    assert SECRET.encode() not in pickle.dumps(job)
    for told in (repr(job), job._repr_html_(), job.to_json().decode(), json.dumps(asdict(job)), str(vars(job))):
        assert SECRET not in (told or "")
    assert isinstance(job, Summary)
    assert again.table().equals(job.table())

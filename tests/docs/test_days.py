"""Our users' days, as their scripts in docs/days say them, from an empty folder to what they wanted to have."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.folder.result_schema import read_results
from tests.conftest import ROOT
from tests.opening import open_store

DAYS = ROOT / "docs/days"


def walked(script: str, folder: Path) -> str:
    """What a day's script says, run in an empty folder with this environment's commands first on the PATH."""
    command = [sys.executable] if script.endswith(".py") else ["sh"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PRESSRUN_"))}
    variables |= {"PATH": path, "HOME": str(folder)}
    done = subprocess.run([*command, DAYS / script], cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.long
def test_a_marketer_comes_from_a_spreadsheet_to_the_agencies_zips(tmp_path: Path) -> None:
    said = walked("marketer.sh", tmp_path)
    assert "20 rows, 20 pictures: all is as it should be." in said
    job = open_store(f"{tmp_path}/spring/job")
    rows = {row["custom_id"]: row for row in read_results(job, ("sha256", "replaced_sha256")).to_pylist()}
    assert [name for name, row in rows.items() if row["replaced_sha256"]] == ["mug-01_spring_UK_shop"]
    decisions = read_decisions(job)
    assert decisions.verdict("mug-01_spring_UK_shop", rows["mug-01_spring_UK_shop"]["sha256"]) == "approved"
    with zipfile.ZipFile(tmp_path / "spring/job/bundles/UK.zip") as zipped:
        names = sorted(zipped.namelist())
    assert names == ["bag-02 spring/shop.png", "bag-02 spring/story.png", "mug-01 spring/shop.png"]
    assert (tmp_path / "spring/preview.html").stat().st_size > 10_000


@pytest.mark.long
def test_an_engineer_comes_from_rows_in_memory_to_pictures_and_keeps_what_did_not_change(tmp_path: Path) -> None:
    said = walked("engineer.py", tmp_path)
    assert "`format` bmp is not a picture format" in said and said.endswith("3 kept, 3 rendered\n")
    assert pq.read_table(tmp_path / "out/snow/results").num_rows == 6


@pytest.mark.long
def test_a_shops_engineer_runs_two_nights_and_takes_one_back(tmp_path: Path) -> None:
    said = walked("shop.sh", tmp_path)
    assert "Rows        39: 1 succeeded, 38 cached" in said
    assert "Published   0 added, 1 replaced, 1 removed, 38 unchanged" in said
    assert "2 put back, 0 taken away." in said
    served = {path.name for path in (tmp_path / "shop/images").iterdir()}
    assert len(served) == 40
    assert {path.name for path in (tmp_path / "shop/status").iterdir()} >= {"images.csv", "history.json", "index.html"}

"""`pressrun night`, and what looks at nights and takes them back: what they say, and their exit codes."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.cli.commands import night as night_command
from pressrun.jobs.run import driver
from pressrun.pipeline.errors import ClusterError
from tests.conftest import Pressrun, write_manifest
from tests.jobs.night.shop import FILE, HERE, Shop

FOUR = {name: f"a {name}" for name in ("mug", "cap", "bag", "lamp")}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(driver, "RayExecutor", lambda: HERE)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shop = Shop(str(tmp_path))
    shop.wants(FOUR)
    return shop


def night(shop: Shop, *arguments: str) -> int:
    return main(["night", f"{shop.base}/night.toml", *arguments])


def test_a_night_prints_its_report_or_json(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.rewrite(FILE + '[report]\nfile = "{night}.txt"\n')
    assert night(shop, "--night", "2026-11-20") == 0
    told = capsys.readouterr().out
    assert told == shop.store.get("2026-11-20.txt").decode()
    assert "undo: pressrun publish --undo /" in told
    assert night(shop, "--night", "2026-11-20", "--json") == 0
    assert json.loads(capsys.readouterr().out)["published"]["unchanged"] == 4


def test_what_a_field_of_the_file_did_is_told_by_its_name_there(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.rewrite(FILE + "[render]\nmax_images = 1\n")
    assert night(shop) == 3
    assert "“max_images” 1 is reached." in capsys.readouterr().out
    shop.rewrite(FILE + '[render]\nformat = "jpg"\n')
    assert night(shop, "--night", "2026-11-21") == 2
    assert "“format” jpg is not a picture format" in capsys.readouterr().err


def test_a_refused_night_lists_its_reasons_and_codes(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.store.delete("tonight.parquet")
    assert night(shop, "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["codes"] == ["missing_manifest"] and len(told["refused"]) == 1
    assert night(shop, "--night", "tonight") == 2
    assert "--night tonight is no name of a night" in capsys.readouterr().err


def test_a_dry_run_says_what_each_phase_would_do_and_does_nothing(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.rewrite(FILE.replace("keep = 2", "keep = 1"))
    before = [*shop.store.paths()]
    assert night(shop, "--night", "2026-11-20", "--dry-run") == 0
    first = capsys.readouterr().out
    assert [*shop.store.paths()] == before
    assert "4 rows: 0 done already (0 cached), 0 bad, 4 to render" in first and "no night is before it" in first
    assert night(shop, "--night", "2026-11-20") == night(shop, "--night", "2026-11-21") == 0
    shop.wants({"mug": "a red mug", "cap": ""})
    capsys.readouterr()
    assert night(shop, "--night", "2026-11-22", "--dry-run") == 1
    told = capsys.readouterr().out
    assert "1 bad, 1 to render" in told and f"against {shop.base}/nights/2026-11-21" in told
    assert night(shop, "--night", "2026-11-22", "--dry-run", "--json") == 1
    assert json.loads(capsys.readouterr().out)["render"]["pending"] == 1
    shop.wants(FOUR)
    assert night(shop, "--night", "2026-11-21", "--dry-run") == 0
    assert "0 added, 0 replaced, 0 removed, 4 unchanged" in capsys.readouterr().out


def test_status_tells_of_nights_the_newest_first(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    night(shop, "--night", "2026-11-20")
    shop.rewrite(FILE.replace('to = "images"', 'to = "images"\nwhen = "complete"'))
    shop.wants({"mug": "a red mug", "cap": ""})
    night(shop, "--night", "2026-11-21")
    shop.rewrite(FILE.partition("[publish]")[0] + "[render]\nmax_images = 1\n")
    shop.wants({"mug": "a blue mug", "cap": "a green cap"})
    night(shop, "--night", "2026-11-22")
    shop.at("nights/2026-11-19").put("job.json", b"no job")
    capsys.readouterr()
    assert main(["status", f"{shop.base}/nights"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [
        *("night", "rows", "succeeded", "cached", "failed", "rejected", "pending", "rendered"),
        *("took", "published", "state"),
    ]
    numbers = [line.split()[:8] for line in rows[:3]]
    assert numbers == [
        ["2026-11-22", "2", "1", "0", "0", "0", "1", "1"],
        ["2026-11-21", "2", "1", "0", "1", "0", "0", "1"],
        ["2026-11-20", "4", "4", "0", "0", "0", "0", "4"],
    ]
    ends = [line[line.index(" s ") :].split()[1:] for line in rows[:3]]
    assert ends == [["no", "stopped"], ["no", "partly", "done"], ["yes", "done"]]
    assert rows[3].startswith("2026-11-19") and "is damaged" in rows[4]
    assert main(["status", f"{shop.base}/nights", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["nights"]
    assert [one["night"] for one in told] == ["2026-11-22", "2026-11-21", "2026-11-20", "2026-11-19"]


def test_status_of_a_place_without_nights_is_refused_as_ever(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", shop.base]) == 2
    assert "holds no job" in capsys.readouterr().err


def test_the_last_publication_is_undone_by_its_place(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    night(shop, "--night", "2026-11-20")
    capsys.readouterr()
    assert main(["publish", "--undo", "latest"]) == 2
    assert "pressrun publish --undo latest --to PLACE" in capsys.readouterr().err
    assert main(["publish", "--undo", "latest", "--to", f"{shop.base}/images", "--remove"]) == 2
    assert main(["publish", "--undo", "latest", "--to", f"{shop.base}/images"]) == 0
    assert "0 put back, 4 taken away" in capsys.readouterr().out and shop.images() == {}
    assert main(["publish", "--undo", "latest", "--to", f"{shop.base}/images"]) == 2
    assert "--to " in capsys.readouterr().err


def test_a_run_that_was_lost_with_its_cluster_is_ended_by_the_process_that_watched_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(run: Any, cluster: str) -> int:
        assert run() == 3
        raise ClusterError(f"The Ray cluster at {cluster} was lost.")

    shop.rewrite(FILE + "[render]\nmax_images = 3\n")
    monkeypatch.setattr(night_command, "joined", lambda: "ray-head:6379")
    monkeypatch.setattr(night_command, "guarded", lost)
    assert night(shop, "--quiet") == 3
    assert "The Ray cluster at ray-head:6379 was lost." in capsys.readouterr().out and len(shop.images()) == 3


def test_sigterm_ends_a_night_that_tells_and_can_be_gone_on_with(pressrun: Pressrun, tmp_path: Path) -> None:
    rows = [{"custom_id": f"row-{number}", "prompt": "a red mug", "width": 256, "steps": 4} for number in range(60)]
    write_manifest(tmp_path, rows, "tonight.parquet")
    (tmp_path / "night.toml").write_text(FILE + '[report]\nfile = "report.txt"\nmetrics = "pressrun.prom"\n')
    started = pressrun.start("night", "night.toml", "--night", "2026-11-20")
    deadline = time.monotonic() + 120
    while not [*tmp_path.glob("nights/2026-11-20/images/*")] and time.monotonic() < deadline:
        time.sleep(0.1)
    started.send_signal(signal.SIGTERM)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 3, err
    assert out.startswith("Pressrun night 2026-11-20: stopped, ") and "Interrupted." in out
    assert (tmp_path / "report.txt").read_text() == out and not (tmp_path / "images").exists()
    assert "pressrun_night_exit_code" in (tmp_path / "pressrun.prom").read_text()
    plan = pressrun("night", "night.toml", "--night", "2026-11-20", "--dry-run", "--json")
    assert plan.json["goes_on"] and plan.json["render"]["done"] > 0

"""The command line: what it says, what it exits with, and that a user's mistake never shows a stack trace."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pressrun.jobs.cli.command import COMMANDS, main, parser
from tests.conftest import ROOT, Pressrun, mixed_rows, write_manifest


def test_a_finished_job_renders_nothing_and_says_so(
    job: Path, job_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(job_manifest), "--out", str(job)]) == 0
    out = capsys.readouterr().out
    assert "Nothing was left to render." in out
    assert f"Contact sheet: {job}/index.html" in out


def test_deleted_results_come_back_from_the_pictures_own_records(
    job: Path, job_manifest: Path, finished_job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(job / "results")
    order = ["render", str(job_manifest), "--out", str(job), "--json"]
    assert main(order) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rendered"], summary["succeeded"]) == (0, len(mixed_rows()))
    columns = ["custom_id", "sha256", "bytes", "seed", "render_key", "width", "height", "device", "sku"]
    before = pq.read_table(finished_job / "results", columns=columns)
    assert pq.read_table(job / "results", columns=columns).to_pylist() == before.to_pylist()


def test_another_manifest_is_refused_where_a_job_lives(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path / "other", mixed_rows()[:3])
    assert main(["render", str(manifest), "--out", str(job)]) == 2
    assert "holds another job already: its manifest is" in capsys.readouterr().err


def test_every_reason_for_a_refusal_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"custom_id": "a", "sha256": "mine"}, {"custom_id": "a", "sha256": "mine"}]
    manifest = write_manifest(tmp_path / "in", rows)
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--replicas", "0"]) == 2
    problems = capsys.readouterr().err.splitlines()
    assert len(problems) == 3
    assert not (tmp_path / "out").exists()


def test_in_json_every_reason_for_a_refusal_has_a_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"custom_id": "a", "sha256": "mine"}, {"custom_id": "a", "sha256": "mine"}]
    manifest = write_manifest(tmp_path / "in", rows)
    main(["render", str(manifest), "--out", str(tmp_path / "out"), "--replicas", "0", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert len(said["refused"]) == 3
    assert said["codes"] == ["bad_option", "bad_manifest", "bad_manifest"]


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rows"], plan["done"], plan["cached"], plan["pending"]) == (14, 0, 0, 14)
    assert not (tmp_path / "out").exists()


def test_what_is_missing_in_the_root_is_named_as_it_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "/no-such-picture.png"]) == 2
    assert "There is no /no-such-picture.png." in capsys.readouterr().err


def test_a_dry_run_shows_what_every_actor_would_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    command = ["render", str(manifest), "--out", str(tmp_path / "out"), "--shards", "2", "--dry-run"]
    assert main(command) == 0
    words = capsys.readouterr().out
    assert "staged: 1 x encode, 1 x denoise in 2 shards, 1 x decode on cpu" in words
    assert "denoise-0 shard 1" in words and "blocks 4 to 7 of the transformer" in words
    assert main([*command, "--json"]) == 0
    actors = json.loads(capsys.readouterr().out)["outlook"]["actors"]
    assert [actor["actor"] for actor in actors] == ["encode-0", "denoise-0 shard 0", "denoise-0 shard 1", "decode-0"]
    assert sum(actor["weights_bytes"] for actor in actors if "denoise" in actor["actor"]) > 2 * 10_299_072


def test_more_shards_than_blocks_are_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--shards", "8"]) == 2
    assert "--shards 8 is too many: the transformer has 7 blocks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_does_not_call_rows_behind_the_limit_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path / "in", [*mixed_rows(), {"custom_id": "empty", "prompt": ""}])
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--limit", "3", "--dry-run", "--json"]) == 1
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rows"], plan["done"], plan["bad"], plan["pending"]) == (15, 0, 1, 3)


def test_a_job_with_nothing_to_render_is_closed_however_few_may_fail(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", [{"custom_id": "empty", "prompt": ""}])
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--max-failures", "0"]) == 1
    assert json.loads((tmp_path / "out/summary.json").read_text())["failed"] == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_standard_stream_is_nobodys_file(closed: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", [{"custom_id": "empty", "prompt": ""}])
    command = f"{sys.executable} -m pressrun render {manifest} --out {tmp_path}/out {closed}"
    assert subprocess.run(command, shell=True, cwd=ROOT, capture_output=True).returncode == 1


@pytest.mark.parametrize(("more", "code"), [("", 0), ("--json", 3)])
def test_a_render_whose_reader_has_gone_is_told_so_where_that_one_asked_for_data(
    more: str, code: int, job: Path, job_manifest: Path
) -> None:
    (job / "summary.json").unlink()
    command = f"{sys.executable} -u -m pressrun render {job_manifest} --out {job} {more} | true; exit $PIPESTATUS"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert (job / "summary.json").exists()


def test_a_dry_run_of_a_half_finished_job_estimates_its_time(
    job: Path, job_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "images/row-3.png").unlink()
    main(["render", str(job_manifest), "--out", str(job), "--dry-run", "--json"])
    plan = json.loads(capsys.readouterr().out)
    assert (plan["done"], plan["pending"]) == (13, 1)
    assert plan["seconds"] > 0


def test_status_counts_what_a_job_holds(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(job), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["rows"], status["succeeded"], status["finished"]) == (14, 14, True)
    assert status["busy"] == json.loads((job / "summary.json").read_text())["busy"]
    assert set(status["busy"]) == {"encode", "denoise", "decode", "finish", "replica"}


def test_a_place_without_a_job_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert "holds no job" in capsys.readouterr().err


def test_models_lists_what_can_be_rendered_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert models["mini"]["folder"] and "flux2-klein-4b" in models


def test_bad_rows_fail_alone_and_become_a_manifest_again(pressrun: Pressrun, tmp_path: Path) -> None:
    rows = mixed_rows()[:4]
    rows[0]["prompt"] = ""
    rows[1]["references"] = ["nowhere.png"]
    rows[3]["prompt"] = "a very long story about a mug " * 20
    manifest = write_manifest(tmp_path / "in", rows)
    ended = pressrun("render", manifest, "--out", tmp_path / "out", "--json")
    assert (ended.code, ended.json["succeeded"], ended.json["failed"]) == (1, 1, 3), ended.err
    status = pressrun("status", tmp_path / "out", "--json").json
    assert {cause["code"] for cause in status["causes"]} == {"missing_prompt", "reference_missing", "prompt_too_long"}
    assert pressrun("failures", tmp_path / "out", "--out", tmp_path / "again.parquet").code == 0
    again = pq.read_table(tmp_path / "again.parquet")
    assert again["custom_id"].to_pylist() == ["row-0", "row-1", "row-3"]
    assert "sku" in again.column_names and "error_code" not in again.column_names


@pytest.mark.parametrize("name", [command.__name__.rpartition(".")[2].replace("_", "-") for command in COMMANDS])
def test_every_commands_help_has_examples_of_its_own_that_it_takes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    said = capsys.readouterr().out.partition("examples:\n")[2].partition("\n\n")[0].split("\n")
    assert ended.value.code == 0 and said
    for example in said:
        program, *arguments = shlex.split(example)
        assert program == "pressrun" and arguments[0] == name
        parser().parse_args(arguments)


def test_a_store_that_fails_is_a_stop_in_json_too(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job / "results/part-000009.parquet").symlink_to(job / "nowhere")
    assert main(["status", str(job), "--json"]) == 3
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["stopped"] and json.loads(told.out)["stopped"] in told.err


def test_a_file_of_the_customers_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path, mixed_rows()[:2])
    before = manifest.read_bytes()
    assert main(["render", str(manifest), "--out", str(tmp_path)]) == 2
    assert "has what a job would replace: manifest.parquet. Choose another --out" in capsys.readouterr().err
    assert manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--max-failures", "five"], "write 20 or 5%", id="failures"),
        pytest.param(["--limit", "0"], "give a number from 1 on", id="limit"),
        pytest.param(["--model", "minni"], "Did you mean mini", id="model"),
        pytest.param(["--name", "{nobody}"], "asks for “nobody”", id="name"),
        pytest.param(["--shards", "0"], "keeps the transformer whole", id="shards"),
    ],
)
def test_an_odd_option_is_a_sentence_and_nothing_is_written(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:2])
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_part_of_the_results_is_a_sentence_and_a_render_mends_it(
    job: Path, job_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "results/part-000000.parquet").write_bytes(b"not Parquet")
    assert main(["status", str(job)]) == 2
    assert "is damaged; render again" in capsys.readouterr().err
    assert main(["render", str(job_manifest), "--out", str(job)]) == 0
    assert main(["verify", str(job)]) == 0


def test_a_dry_run_looks_at_the_job_that_is_there(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path / "other", mixed_rows()[:3])
    assert main(["render", str(manifest), "--out", str(job), "--dry-run"]) == 2
    assert "holds another job already" in capsys.readouterr().err

"""Terminals, logs and locales that are not UTF-8: every command says what it has to say, and JSON stays JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pressrun.jobs.cli.command import COMMANDS, main
from pressrun.jobs.delivery.hook import tell
from pressrun.jobs.results.summary import Summary
from tests.conftest import ROOT, Ended, Pressrun
from tests.jobs.night_jobs import make_night

LATIN = os.fsdecode(b"caf\xe9")
NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TERMINALS = [
    pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
    pytest.param({"PYTHONIOENCODING": "latin-1:strict"}, id="latin-1"),
    pytest.param({"PYTHONIOENCODING": "cp1252"}, id="cp1252"),
    pytest.param(NARROW, id="locale C"),
]


class Raw(Pressrun):
    """The command, its output read as Latin-1: whatever bytes it prints."""

    def __call__(self, *arguments: object, **environment: str) -> Ended:
        process = self.start(*arguments, **environment)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.reconfigure(encoding="latin-1")  # type: ignore[attr-defined]
        out, err = process.communicate(timeout=240)
        return Ended(process.returncode, out, err)


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    return Raw(tmp_path)


@pytest.mark.parametrize("terminal", TERMINALS)
def test_commands_say_everything_on_a_terminal_that_is_not_utf8(
    raw: Raw, tmp_path: Path, terminal: dict[str, str]
) -> None:
    make_night(str(tmp_path / "Müll-杯"), {"Müll-杯": b"mug", "lamp": None})
    for arguments, code in (
        (("--help",), 0),
        (("render", "--help"), 0),
        (("status", "Müll-杯"), 0),
        (("failures", "Müll-杯"), 0),
        (("status", "nowhere-杯"), 2),
        (("render", "nowhere-杯.csv", "--out", "out"), 2),
        (("models",), 0),
    ):
        ended = raw(*arguments, **terminal)
        assert (ended.code, "Traceback" in ended.err) == (code, False), ended.err
        assert ended.out or ended.err
    for arguments in (("status", "Müll-杯"), ("failures", "Müll-杯"), ("status", "nowhere-杯")):
        ended = raw(*arguments, "--json", **terminal)
        assert ended.out.isascii() and "Traceback" not in ended.err
        assert "杯" in json.dumps(ended.json, ensure_ascii=False) or arguments[0] == "failures"


def test_pictures_are_called_the_same_whatever_the_locale_is(raw: Raw, tmp_path: Path) -> None:
    lines = ["custom_id,prompt,width,height,steps", "Müll-杯,a red mug,64,64,1"]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ended = raw("render", "m.csv", "--out", "größe", "--on-finish", "cat > told.json", **NARROW)
    assert ended.code == 0, ended.err
    assert [path.name for path in (tmp_path / "größe/images").iterdir()] == ["Müll-杯.png"]
    assert "gr\\xf6\\xdfe" in ended.out and ended.out.isascii()
    assert json.loads((tmp_path / "told.json").read_bytes())["succeeded"] == 1


@pytest.mark.parametrize("name", [command.__name__.rpartition(".")[2].replace("_", "-") for command in COMMANDS])
def test_an_argument_that_is_no_text_is_a_sentence_on_every_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    required = {
        "new": [LATIN],
        "doctor": ["--out", LATIN],
        "variants": ["--out", "x.parquet"],
        "render": ["--out", "x"],
        "publish": ["--to", "x"],
        "bundle": ["--by", "sku"],
        "prune": ["--keep", "1"],
        "diff": ["x"],
        "models": ["--json"],
    }
    place = {"models": [], "doctor": [], "new": ["campaign"]}.get(name, [LATIN])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESSRUN_MODELS", LATIN)
        code = main([name, *place, *required.get(name, [])])
    said = capsys.readouterr()
    if name == "models":
        assert code == 0 and json.loads(said.out)
    else:
        assert code == 2 and r"“caf\xe9” is not UTF-8, which no table can hold: rename it." in said.err


def test_a_working_folder_that_is_no_text_is_a_sentence(tmp_path: Path, pressrun: Pressrun) -> None:
    make_night(str(tmp_path / "night"), {"mug": b"mug"})
    (tmp_path / LATIN).mkdir()
    here = Pressrun(tmp_path / LATIN)
    ended = here("status", "out")
    assert ended.code == 2 and r"caf\xe9/out” has a name that is not UTF-8" in ended.err
    assert here("status", "../night").code == 0
    assert here("--help").code == 0


def test_a_command_at_the_end_may_be_told_without_a_standard_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    summary = Summary("out", "mini", rows=1, succeeded=1)
    assert tell(f"cat > '{tmp_path}/told.json'; echo told", summary) == ""
    assert json.loads((tmp_path / "told.json").read_bytes())["rows"] == 1


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("arguments", "full", "code"),
    [
        pytest.param("render {manifest} --out {job}", ">/dev/full", 0, id="words about a render"),
        pytest.param("render {manifest} --out {job}", "2>/dev/full", 0, id="progress"),
        pytest.param("render {manifest} --out {job} --json", ">/dev/full", 3, id="a summary as data"),
        pytest.param("render {manifest} --out {job} --dry-run", ">/dev/full", 3, id="a forecast"),
        pytest.param("render nowhere.csv --out out", "2>/dev/full", 2, id="a refusal"),
        pytest.param("render nowhere.csv --out out --json", ">/dev/full", 2, id="a refusal as data"),
        pytest.param("status {job}", ">/dev/full", 3, id="status"),
        pytest.param("status {job} --json", ">/dev/full", 3, id="status as data"),
        pytest.param("verify {job}", ">/dev/full", 3, id="verify"),
        pytest.param("status {job}", "2>/dev/full", 0, id="nothing to say there"),
    ],
)
def test_a_full_disk_behind_a_stream_changes_nothing_but_what_was_asked_for(
    arguments: str, full: str, code: int, job: Path, job_manifest: Path
) -> None:
    command = f"{sys.executable} -m pressrun {arguments.format(job=job, manifest=job_manifest)} {full}"
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
    if full.startswith(">"):
        sentences = [line for line in ended.stderr.splitlines() if FULL in line]
        assert len(sentences) == (code != 2), ended.stderr


def test_a_picture_is_rendered_although_nothing_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("custom_id,prompt,width,height,steps\nmug,a red mug,64,64,1\n")
    command = f"{sys.executable} -m pressrun render {tmp_path}/m.csv --out {tmp_path}/out >/dev/full 2>/dev/full"
    assert subprocess.run(command, shell=True, cwd=ROOT).returncode == 0
    assert (tmp_path / "out/images/mug.png").exists()

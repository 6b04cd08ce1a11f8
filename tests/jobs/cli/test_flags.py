"""Flags in sentences: the library names a field, and whoever runs a command reads its flag."""

import argparse
from dataclasses import dataclass, fields

import pytest

from pressrun.jobs.cli.command import main, parser
from pressrun.jobs.cli.flags import FlaggedProgress, Flags
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.progress import Silent


@pytest.fixture(scope="module")
def flags() -> Flags:
    return Flags(parser())


def test_every_field_of_a_job_is_named_by_its_flag(flags: Flags) -> None:
    named = {field.name: flags.named(f"`{field.name}`") for field in fields(JobSpec)}
    assert named.pop("manifest") == "`manifest`", "it has none: it is given by its place"
    assert named.pop("allow_hosts") == "--allow-host"
    assert named == {name: "--" + name.replace("_", "-") for name in named}


@pytest.mark.parametrize(
    "sentence",
    [
        pytest.param("`verify` looks at whole jobs.", id="no field"),
        pytest.param("`pressrun bundle` did not write it.", id="a command"),
        pytest.param("“out” is no column, and out neither.", id="no backticks"),
        pytest.param("`max-images`", id="not as Python spells it"),
    ],
)
def test_what_names_no_field_stays_as_it_is(sentence: str, flags: Flags) -> None:
    assert flags.named(sentence) == sentence


def test_a_flag_is_the_one_that_the_parser_declares() -> None:
    own = argparse.ArgumentParser()
    own.add_argument("-n", "--max-rows-in-all", dest="rows")
    assert Flags(own).named("`rows` 0 is too few.") == "--max-rows-in-all 0 is too few."


@dataclass(frozen=True)
class _Told:
    name: str
    stopped: str | None = None
    warnings: tuple[str, ...] = ()


def test_only_the_sentences_of_what_is_told_are_reworded(flags: Flags) -> None:
    told = _Told("`out`", "`limit` 3 is reached.", ("Leave out `sign`.", "Another."))
    reworded = _Told("`out`", "--limit 3 is reached.", ("Leave out --sign.", "Another."))
    assert flags.named_in(told, "stopped", "warnings") == reworded
    assert flags.named_in(_Told("`out`"), "stopped", "warnings") == _Told("`out`")


class _Heard(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def note(self, sentence: str) -> None:
        self.sentences.append(sentence)

    warn = note


def test_notes_and_warnings_of_a_run_name_flags(flags: Flags) -> None:
    heard = _Heard()
    events = FlaggedProgress(heard, flags)
    events.note("`compile` is for GPUs.")
    events.warn("Choose another `name`.")
    assert heard.sentences == ["--compile is for GPUs.", "Choose another --name."]


def test_every_problem_of_a_refusal_names_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    order = ["render", "none.parquet", "--out", "none", "--replicas", "0", "--limit", "0", "--json"]
    assert main(order) == 2
    said = capsys.readouterr()
    for sentence in ("--replicas 0 is too few", "--limit 0 leaves nothing to render"):
        assert sentence in said.err and sentence in said.out
    assert "`" not in said.err + said.out

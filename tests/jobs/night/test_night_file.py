"""A night's file: places beside it, options by their names, and everything that is wrong with it at once."""

from pathlib import Path

import pytest

from pressrun.jobs.cli.commands.parsing import epilog
from pressrun.jobs.night import night_file
from pressrun.jobs.night.night_file import NightFile, read_night_file
from pressrun.pipeline.errors import JobError
from tests.conftest import ROOT
from tests.opening import open_store, stores

LEAST = 'manifest = "tonight.parquet"\nnights = "nights"\n'


def read(folder: Path, text: str) -> NightFile:
    (folder / "night.toml").write_text(text)
    return read_night_file(stores(), f"{folder}/night.toml")


def refusal(folder: Path, text: str) -> list[str]:
    with pytest.raises(JobError) as refused:
        read(folder, text)
    assert set(refused.value.codes) == {"bad_night_file"}
    return [str(problem) for problem in refused.value.problems]


def test_two_places_are_enough(tmp_path: Path) -> None:
    file = read(tmp_path, LEAST)
    spec = file.spec("2026-11-20")
    assert (spec.manifest, spec.out) == (f"{tmp_path}/tonight.parquet", f"{tmp_path}/nights/2026-11-20")
    assert spec.since == "latest" and file.publication is None and file.keep is None and not file.diff_page


def test_places_are_meant_from_the_files_folder(tmp_path: Path) -> None:
    render = '[render]\nfinish = "../finish.toml"\nmodel = "./tuned"\nkeep_pixels = "s3://shop/pixels"\n'
    file = read(tmp_path, f'{LEAST}{render}[publish]\nto = "/srv/images"\n[report]\nfile = "~/{{night}}.txt"\n')
    assert file.render["finish"] == f"{tmp_path.parent}/finish.toml" and file.render["model"] == f"{tmp_path}/tuned"
    assert file.render["keep_pixels"] == "s3://shop/pixels"
    assert file.publication and file.publication.to == "/srv/images"
    assert file.report == f"{Path.home()}/{{night}}.txt"


def test_a_catalogue_models_name_is_no_place(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + '[render]\nmodel = "flux2-klein-4b"\n').render["model"] == "flux2-klein-4b"


def test_a_file_in_a_bucket_means_its_bucket_and_runs_nothing_here(s3_bucket: str) -> None:
    store = open_store(s3_bucket)
    store.put("shop/night.toml", LEAST.encode())
    file = read_night_file(stores(), f"{s3_bucket}/shop/night.toml")
    assert (file.manifest, file.nights) == (f"{s3_bucket}/shop/tonight.parquet", f"{s3_bucket}/shop/nights")
    more = '[report]\nmetrics = "/etc/passwd"\n[hooks]\nbefore = "id"\n'
    store.put("shop/night.toml", (LEAST + more).encode())
    with pytest.raises(JobError) as refused:
        read_night_file(stores(), f"{s3_bucket}/shop/night.toml")
    assert [problem.partition(":")[2].strip() for problem in refused.value.problems] == [
        "“metrics” names a file of this machine, which a night's file in a bucket may not.",
        "a file in a bucket may have no commands: whoever can write there would run them here.",
    ]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    problems = refusal(
        tmp_path,
        'manifest = 3\ntimezone = "Europe/Atlantis"\nnigths = "x"\n'
        '[render]\nmax_images = "3"\nsince = "latest"\nout = "x"\nformatt = "png"\n'
        '[publish]\nwhen = "never"\nmax_removed = "120%"\naddress = "img.example.com"\n'
        "[diff]\npages = true\n[prune]\nkeep = 0\n"
        '[report]\nmetrics = "s3://shop/x.prom"\n[webhook]\nurl = "http://hooks.example.com/"\nallow_hosts = ["a b"]\n',
    )
    assert problems == [
        "night.toml: “manifest” is 3; give a text.",
        "night.toml: “nights” is missing; give a text.",
        "night.toml: “timezone” Europe/Atlantis is not known here; write it as Europe/Berlin.",
        "night.toml, [render]: “out” is the night's own: leave it out here.",
        "night.toml, [render]: “since” is the night's own: leave it out here.",
        "night.toml, [render]: there is no field “formatt”; did you mean “format”?",
        "night.toml, [render]: “max_images” is the text “3”; give a whole number or None.",
        "night.toml, [publish]: “to” is missing; give a text.",
        "night.toml, [publish]: “when” is 'never'; give one of ready, finished, complete.",
        "night.toml, [publish]: “max_removed” is '120%'; give a number, or a share such as 50%.",
        "night.toml, [publish]: “max_removed” wants “remove” = true: without it nothing is withdrawn.",
        "night.toml, [publish]: “address” is 'img.example.com'; give the https:// address of what is published.",
        "night.toml, [prune]: “keep” is 0; give a whole number from 1 to 10,000.",
        "night.toml, [report]: “metrics” is in a bucket; give a file in node_exporter's folder on this machine.",
        "night.toml, [webhook]: “allow_hosts” “a b” is no host; write HOST or HOST:PORT.",
        "night.toml, [diff]: there is no field “pages”; did you mean “page”?",
        "night.toml: there is no field “nigths”; did you mean “nights”?",
    ]


@pytest.mark.parametrize(
    ("url", "hosts", "problem"),
    [
        pytest.param("http://hooks.example.com/", "[]", "“url” is not encrypted", id="plain http"),
        pytest.param("hooks.example.com", "[]", "“url” is no https:// address", id="no address"),
        pytest.param("http://hooks.example.com/", '["hooks.example.com"]', "", id="plain http, but allowed"),
        pytest.param("https://hooks.example.com/", "[]", "", id="https"),
    ],
)
def test_where_a_webhook_may_go(url: str, hosts: str, problem: str, tmp_path: Path) -> None:
    text = f'{LEAST}[webhook]\nurl = "{url}"\nallow_hosts = {hosts}\n'
    if problem:
        assert problem in refusal(tmp_path, text)[0]
    else:
        assert read(tmp_path, text).webhook is not None


@pytest.mark.parametrize("public", ["nights", "nights/public", ".", "images/status"])
def test_public_files_have_a_place_of_their_own(public: str, tmp_path: Path) -> None:
    text = f'{LEAST}[publish]\nto = "images"\n[report]\npublic = "{public}"\n'
    assert "“public” is in" in refusal(tmp_path, text)[0]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "is no TOML" in refusal(tmp_path, "manifest = ")[0]
    with pytest.raises(JobError, match="cannot be read"):
        read_night_file(stores(), f"{tmp_path}/none.toml")


def test_the_example_in_the_documentation_of_the_file_is_right(tmp_path: Path) -> None:
    text = (night_file.__doc__ or "").partition("\n\n")[2]
    file = read(tmp_path, text)
    assert (file.keep, file.before, file.publication and file.publication.when) == (14, "export-manifest", "ready")


def test_the_shipped_example_is_right() -> None:
    file = read_night_file(stores(), str(ROOT / "jobs/examples/night.toml"))
    assert file.publication and file.publication.remove and file.diff_page and file.keep == 14
    assert "pressrun night night.toml" in epilog("night")

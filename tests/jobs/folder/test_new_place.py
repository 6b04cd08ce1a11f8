"""A new job is created only where nothing of somebody else's stands under a name that it will write."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pressrun import JobSpec
from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.s3_store import S3Store
from pressrun.cluster.store.store import Store
from pressrun.jobs.cli.command import main
from pressrun.jobs.folder.job_file import create_job
from pressrun.jobs.resolve.resolved_job import ResolvedJob, resolve
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.run.driver import render
from pressrun.jobs.run.forecast import forecast
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import JobError
from tests.conftest import write_manifest
from tests.opening import open_store, stores

FILES = (
    *("manifest.parquet", "summary.json", "index.html", "metadata.csv", "timeline.json", "references.parquet"),
    *("changes.parquet", "batches.json", "matrix.html", "diff.html", "night.json"),
)
DEEPER = (
    *("results/part-000000.parquet", "results/part-2026-of-theirs.parquet", "thumbs/summer/logo.png.webp"),
    *(f"pixels/ab/ab{'c' * 62}.png", f"replacements/{'a' * 64}"),
)
MARKS = (
    *("index.html", "index.htm", "index.php", "default.htm", "Default.htm", "default.html", "robots.txt"),
    *("sitemap.xml", ".htaccess", "web.config", "wp-config.php", "CNAME", "favicon.ico"),
)
KINDS: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_bytes(b"the shop's own"),
    "a folder": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to(path.parent.parent),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """One row, and that one fails without being rendered."""
    return write_manifest(tmp_path / "in", [{"custom_id": "a", "prompt": ""}])


@pytest.fixture(params=["folder", "bucket"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Somebody's place, of either kind, in which a file of theirs stands."""
    store = open_store(
        f"{request.getfixturevalue('s3_bucket')}/shop" if request.param == "bucket" else str(tmp_path / "out")
    )
    store.put("images/logo.png", b"their logo")
    if request.param == "folder":
        (tmp_path / "out/.tmp").rmdir()
    return store


def put(store: Store, path: str) -> None:
    store.put(path, b"the shop's own")
    if isinstance(store, FolderStore):
        Path(store.uri, ".tmp").rmdir()


def holding(store: Store) -> dict[str, bytes]:
    """All that is in a place, what is not to be listed included."""
    if isinstance(store, FolderStore):
        found = Path(store.uri).rglob("*")
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}
    return {path: store.get(path) for path in store.paths()}


def refusal(manifest: Path, out: str) -> str:
    """Why a render is refused, and a dry run with it; each finds the place as the other did."""
    before = holding(open_store(out))
    with pytest.raises(JobError) as rendering:
        render(JobSpec(str(manifest), out))
    with pytest.raises(JobError) as looking:
        forecast(JobSpec(str(manifest), out))
    assert str(rendering.value) == str(looking.value)
    assert holding(open_store(out)) == before
    return str(rendering.value)


@pytest.mark.parametrize("name", [*FILES, *DEEPER])
def test_a_file_that_a_job_would_replace_is_named_and_keeps_its_bytes(
    name: str, manifest: Path, tmp_path: Path
) -> None:
    shop = open_store(str(tmp_path / "out"))
    put(shop, name)
    why = refusal(manifest, shop.uri)
    assert f"{shop.uri} holds no job, but has what a job would replace: {name}. Choose another `out`" in why
    assert "if this was a job, put its job.json back" in why


def test_objects_that_a_job_would_replace_are_named_together_and_keep_their_bytes(
    s3_bucket: str, manifest: Path
) -> None:
    for name in (*FILES, *DEEPER):
        open_store(s3_bucket).put(name, b"the shop's own")
    assert f"would replace: {', '.join((*FILES, *DEEPER))}. Choose" in refusal(manifest, s3_bucket)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["summary.json", "metadata.csv", "job.json"])
def test_folders_and_links_take_a_name_as_well(name: str, kind: str, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    KINDS[kind](tmp_path / "out" / name)
    before = (tmp_path / "out" / name).lstat().st_mtime_ns
    with pytest.raises(JobError, match=rf"would replace: {name}\.|job\.json is damaged, or not a job's description"):
        render(JobSpec(str(manifest), str(tmp_path / "out")))
    assert (tmp_path / "out" / name).lstat().st_mtime_ns == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


@pytest.mark.parametrize("name", ["images", "results", "thumbs", "pixels", "replacements"])
def test_a_file_or_a_dangling_link_where_a_folder_belongs_is_named(name: str, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for kind in ("a file", "a dangling link"):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        KINDS[kind](out / name)
        assert f"would replace: {name}. " in refusal(manifest, str(out))


def test_a_prefix_counts_as_a_name_in_a_bucket(s3_bucket: str, manifest: Path) -> None:
    open_store(s3_bucket).put("summary.json/2026/a.txt", b"theirs")
    assert "would replace: summary.json. " in refusal(manifest, s3_bucket)


def test_many_names_are_cut_after_twenty(shop: Store, manifest: Path) -> None:
    for number in range(30):
        shop.put(f"thumbs/{number:02d}.webp", b"theirs")
    assert refusal(manifest, shop.uri).count("thumbs/") == 20
    assert " and more. Choose" in refusal(manifest, shop.uri)


def test_the_shops_own_page_and_table_are_left_alone_and_both_reasons_told(shop: Store, manifest: Path) -> None:
    put(shop, "index.html")
    put(shop, "metadata.csv")
    first, second = refusal(manifest, shop.uri).split("\n")
    assert "would replace: index.html, metadata.csv." in first
    assert second.startswith(f"{shop.uri} looks like a website's root (index.html): a job's manifest and results would")


@pytest.mark.parametrize("mark", MARKS)
def test_a_websites_root_is_refused(mark: str, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / mark).write_bytes(b"the shop's own")
    assert f"looks like a website's root ({mark}): " in refusal(manifest, str(tmp_path / "out"))


def test_a_websites_root_is_known_by_a_folder_too(shop: Store, manifest: Path) -> None:
    put(shop, ".well-known/security.txt")
    assert "looks like a website's root (.well-known): " in refusal(manifest, shop.uri)


def test_files_of_other_names_are_no_obstacle(shop: Store, manifest: Path) -> None:
    for name in ("notes.txt", "results/readme.md", "thumbs/.DS_Store", "deeper/index.html", "index.html.bak"):
        put(shop, name)
    before = holding(shop)
    assert main(["render", str(manifest), "--out", shop.uri]) == 1
    assert before.items() <= holding(shop).items()


def test_an_odd_key_of_somebody_elses_bucket_is_no_obstacle(s3_bucket: str, manifest: Path) -> None:
    store = S3Store(s3_bucket.removeprefix("s3://"), "", stores())
    store._client.put_object(Bucket=store._bucket, Key="thumbs/a.webp/", Body=b"")
    assert main(["render", str(manifest), "--out", s3_bucket]) == 1


def test_pictures_and_thumbnails_of_a_job_that_lost_its_other_files_are_its_own(
    job: Path, job_manifest: Path, finished_job: Path
) -> None:
    shutil.rmtree(job / "results")
    for path in job.iterdir():
        if path.is_file():
            path.unlink()
    assert main(["render", str(job_manifest), "--out", str(job), "--json"]) == 0
    assert main(["verify", str(job)]) == 0


def test_a_foreign_thumbnail_among_a_jobs_own_is_named_and_stays(
    job: Path, job_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(job / "results")
    for path in job.iterdir():
        if path.is_file():
            path.unlink()
    (job / "thumbs/row-3.png.webp").write_bytes(b"the shop's own")
    assert main(["render", str(job_manifest), "--out", str(job)]) == 2
    assert "would replace: thumbs/row-3.png.webp. " in capsys.readouterr().err
    assert (job / "thumbs/row-3.png.webp").read_bytes() == b"the shop's own"


class Late(FolderStore):
    """A folder in which another driver creates the same job, and writes, just after it was looked for."""

    def __init__(self, root: Path, order: ResolvedJob) -> None:
        super().__init__(root, Stores())
        self._order = order

    def paths(self, prefix: str = "") -> Iterator[str]:
        other = FolderStore(Path(self.uri), Stores())
        if other.head("job.json") is None:
            create_job(other, self._order.job, self._order.frozen)
            other.put("results/part-000001-0123abcd-000000.parquet", b"another driver's")
        return super().paths(prefix)


def test_what_a_second_driver_has_just_written_is_not_taken_for_somebody_elses(manifest: Path, tmp_path: Path) -> None:
    order = resolve(JobSpec(str(manifest), str(tmp_path / "out")), Context.of_this_process())
    assert create_job(Late(tmp_path / "out", order), order.job, order.frozen)
    assert (tmp_path / "out/results/part-000001-0123abcd-000000.parquet").read_bytes() == b"another driver's"


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_drivers_that_create_the_same_job_at_once_all_go_on(
    place: str, manifest: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = f"{request.getfixturevalue('s3_bucket')}/run" if place == "bucket" else str(tmp_path / "out")
    start, ended = threading.Barrier(4), []

    def drive() -> None:
        start.wait()
        ended.append(render(JobSpec(str(manifest), out)))

    drivers = [threading.Thread(target=drive) for _ in range(4)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert [summary.failed for summary in ended if isinstance(summary, Summary)] == [1] * 4


def test_a_resume_looks_for_nothing(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = ["render", str(manifest), "--out", str(tmp_path / "out")]
    assert main(order) == 1
    monkeypatch.setattr("pressrun.jobs.folder.job_file.obstacles", None)
    assert main(order) == 1


def test_an_empty_prefix_is_known_by_one_listing(
    s3_bucket: str, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, listed, page = open_store(f"{s3_bucket}/run"), [], S3Store._pages
    order = resolve(JobSpec(str(manifest), store.uri), Context.of_this_process())

    def counted(self: S3Store, prefix: str, *rest: object, **more: object) -> object:
        listed.append(prefix)
        return page(self, prefix, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(S3Store, "_pages", counted)
    create_job(store, order.job, order.frozen)
    assert listed == [""]

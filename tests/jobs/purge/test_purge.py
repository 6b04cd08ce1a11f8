"""Purging: a picture goes from the place, the records and all nights, for good; in a folder and in a bucket."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.store import Store
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.cli.command import main
from pressrun.jobs.decisions.deciding import decide
from pressrun.jobs.decisions.marks import Mark
from pressrun.jobs.delivery.bundle import Bundles
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.delivery.records_place import beside, read_pointer
from pressrun.jobs.delivery.retention import prune
from pressrun.jobs.delivery.undo import undo
from pressrun.jobs.purge.purging import Purged, purge
from pressrun.pipeline.errors import JobError
from tests.jobs.driven import driven
from tests.jobs.killed import Killed, killing
from tests.jobs.night_jobs import drawn, make_night
from tests.opening import open_store, stores

ROWS = ("mug", "chair", "lamp")
FINISH = """\
[[renditions]]
name = "hero"
format = "webp"
width = 8
height = 8
"""


@pytest.fixture(params=["folder", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_bucket")


class Shop:
    """A shop's nights, rendered for real but for their pixels, and the place that they are published to."""

    def __init__(self, base: str, finish: Path, tables: dict[str, pa.Table]) -> None:
        self.nights, self.place = f"{base}/nights", f"{base}/shop/images"
        self._finish, self._tables = finish, tables

    def render(self, night: str, prompts: dict[str, str] | None = None, **options: Any) -> Any:
        told = prompts or {row: f"a {row}" for row in ROWS}
        manifest = f"{self.nights}/{night}.parquet"
        columns: dict[str, Any] = {
            "custom_id": list(told),
            "prompt": list(told.values()),
            "season": ["fall"] * len(told),
        }
        columns |= {name: [number] * len(told) for name, number in (("width", 16), ("height", 16), ("steps", 1))}
        self._tables[manifest] = pa.table(columns)
        more = {"finish": str(self._finish), "keep_pixels": "", "since": "latest"} | options
        return render(JobSpec(manifest, f"{self.nights}/{night}", **more))

    def publish(self, night: str, **options: Any) -> Any:
        return publish(stores(), f"{self.nights}/{night}", self.place, **options)

    def purge(self, *names: str, **options: Any) -> Purged:
        return purge(stores(), names or ("mug.png",), self.place, **options)

    def job(self, night: str) -> Store:
        return open_store(f"{self.nights}/{night}")

    def rows(self, night: str) -> dict[str, dict[str, Any]]:
        data = self.job(night).get("results/part-000000.parquet")
        return {row["custom_id"]: row for row in pq.ParquetFile(pa.BufferReader(data)).read().to_pylist()}


@pytest.fixture
def shop(base: str, tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "finish.toml").write_text(FINISH)
    tables: dict[str, pa.Table] = {}
    with driven() as state:
        state.tables = tables
        yield Shop(base, tmp_path / "finish.toml", tables)


@pytest.fixture
def killed_before(shop: Shop) -> Iterator[Callable[[int], None]]:
    """As `killing`; what it patches is put back before what `driven` has patched is, whatever a test asks for first."""
    with pytest.MonkeyPatch.context() as patch:
        yield killing(patch)


def everything(uri: str) -> dict[str, bytes]:
    store = open_store(uri)
    return {path: store.get(path) for path in store.paths()}


def two_nights(shop: Shop) -> None:
    """Of the mug there are two pictures: the second night's replaced the first one's, and a third night kept it."""
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    again = {row: f"a {row}" for row in ROWS} | {"mug": "another mug"}
    shop.render("2026-11-21", again)
    shop.publish("2026-11-21")
    shop.render("2026-11-22", again)
    shop.publish("2026-11-22")


def test_a_purged_picture_is_nowhere_any_more_and_every_night_is_whole(shop: Shop, base: str) -> None:
    two_nights(shop)
    before = everything(base)
    bytes_of = {data for path, data in before.items() if path.rpartition("/")[2].startswith(("mug.png", "mug@hero"))}
    keys = {shop.rows(night)["mug"]["render_key"] for night in ("2026-11-20", "2026-11-21", "2026-11-22")}
    bytes_of |= {data for path, data in before.items() if Path(path).stem in keys}
    assert len(bytes_of) == 2 * 4, "picture, rendition, thumbnail, pixels"
    done = shop.purge()
    now = everything(base)
    assert {path for path, data in now.items() if data in bytes_of} == set()
    assert {name.rpartition("/")[2] for name in done.served} == {"mug.png", "mug@hero.webp"}
    assert len(done.undo_copies) == 2 and len(done.rows) == 3 and not done.left + done.busy + done.unknown
    for night in ("2026-11-20", "2026-11-21", "2026-11-22"):
        assert not verify(shop.job(night)).discrepancies
        page, lines = shop.job(night).get("index.html"), shop.job(night).get("metadata.csv")
        assert b"images/mug" not in page + lines and b"images/chair" in page and b"images/chair" in lines
    others = [path for path in before if "mug" not in path and "lock/" not in path and Path(path).stem not in keys]
    assert now.keys() >= {*others}
    assert not [path for path in now if "/purging/" in path]


def test_what_was_purged_is_not_drawn_again(shop: Shop) -> None:
    two_nights(shop)
    shop.purge()
    again = {row: f"a {row}" for row in ROWS} | {"mug": "another mug"}
    assert shop.render("2026-11-22", again).rendered == 0
    night = shop.render("2026-11-23", again)
    assert (night.rendered, night.cached, night.rejected) == (0, 2, 1)
    assert shop.publish("2026-11-23").added == 0
    assert open_store(shop.place).head("mug.png") is None
    assert shop.render("2026-11-24", {"mug": "a mug that nobody minds"}).succeeded == 1
    assert shop.publish("2026-11-24").added == 2


def test_undoing_tells_it_as_lost_and_knows_nothing_of_it_afterwards(shop: Shop) -> None:
    shop.render("2026-11-20")
    first = shop.publish("2026-11-20")
    shop.render("2026-11-21", {row: f"another {row}" for row in ROWS})
    second = shop.publish("2026-11-21")
    shop.purge()
    undone = undo(stores(), second.undo)
    assert (undone.restored, sorted(undone.lost), undone.left) == (4, ["mug.png", "mug@hero.webp"], ())
    undone = undo(stores(), first.undo)
    assert (undone.taken_away, undone.lost, undone.left) == (4, (), ())
    assert everything(shop.place) == {}


def test_a_rendition_names_its_whole_picture_and_a_name_within_another_does_not(shop: Shop) -> None:
    shop.render("2026-11-20", {"mug": "a mug", "mug.big": "a big mug", "mug-2": "two mugs"})
    shop.publish("2026-11-20")
    shop.purge("mug@hero.webp")
    assert sorted(everything(shop.place)) == ["mug-2.png", "mug-2@hero.webp", "mug.big.png", "mug.big@hero.webp"]


def test_the_same_picture_goes_from_nights_where_it_has_another_name(shop: Shop, base: str) -> None:
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    shop.render("2026-11-21", name="{season}/{custom_id}")
    shop.publish("2026-11-21")
    done = shop.purge()
    assert {job.rpartition("/")[2] for job, _ in done.rows} == {"2026-11-20", "2026-11-21"}
    assert not verify(shop.job("2026-11-21")).discrepancies
    assert any(f"{shop.place}/fall/mug.png has the same bytes" in sentence for sentence in done.refers)
    shop.purge("fall/mug.png")
    assert not [path for path in everything(base) if "mug" in path]


def test_a_strangers_picture_of_that_name_is_left_and_told(shop: Shop) -> None:
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    open_store(shop.place).put("mug.png", b"a stranger's")
    shop.job("2026-11-20").put("images/mug@old.png", b"another stranger's")
    done = shop.purge()
    assert [sentence.partition(": ")[0] for sentence in done.left] == [
        f"{shop.place}/mug.png",
        f"{shop.nights}/2026-11-20/images/mug@old.png",
    ]
    assert open_store(shop.place).get("mug.png") == b"a stranger's"


def test_what_still_holds_or_names_it_is_told(shop: Shop, base: str) -> None:
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    publish(stores(), f"{shop.nights}/2026-11-20", f"{base}/other/images")
    job = shop.job("2026-11-20")
    list(Bundles(job, "season", name="{season}-{custom_id}").write())
    decide(job, [Mark("mug", None, "rejected", "The model's face is seen.")])
    job.put("matrix.html", b'{"image":"images/mug.png"}')
    open_store(shop.nights).put("diff.html", b'<img src="2026-11-20/thumbs/mug.png.webp">, images/mug.png')
    shop.render("2026-11-20-twin", {"cup": "a mug"} | {"mug": "a mug"}, since=None)
    told = "\n".join(shop.purge().refers)
    assert f"{job.uri}/bundles/fall.zip holds it (fall-mug.png)" in told
    assert f"{job.uri}/decisions/ has what was decided of mug" in told
    assert f"{job.uri}/matrix.html holds a small copy of it" in told
    assert f"{shop.nights}/diff.html names it" in told
    assert f"pressrun publish `to` {base}/other/images `purge` mug.png" in told
    assert f"{shop.nights}/2026-11-20-twin.parquet has the row mug" in told


def test_a_dry_run_tells_the_same_and_does_nothing(shop: Shop, base: str) -> None:
    two_nights(shop)
    before = everything(base)
    planned = shop.purge(dry_run=True)
    assert everything(base) == before
    done = shop.purge()
    for what in ("served", "undo_copies", "files", "rows", "left", "refers"):
        assert getattr(planned, what) == getattr(done, what), what


def test_nights_that_are_being_rendered_are_told_and_purged_by_the_same_command(base: str) -> None:
    shop, mug = f"{base}/shop/images", drawn("mug")
    nights = [make_night(f"{base}/nights/2026-11-{day}", {"mug": mug}) for day in (20, 21)]
    publish(stores(), nights[0].uri, shop)
    with Lease(nights[1], ".lock", "A night is rendered into it", beat_sec=0.2):
        done = purge(stores(), ["mug.png"], shop)
    assert len(done.busy) == 1 and done.busy[0].startswith(f"{nights[1].uri}: A night is rendered into it just now")
    assert (done.served, done.rows) == ((f"{shop}/mug.png",), ((nights[0].uri, "mug"),))
    with Lease(open_store(f"{base}/nights"), ".lock", "A night is rendered into another", beat_sec=0.2):
        assert purge(stores(), ["mug.png"], shop).busy[0].startswith(f"{base}/nights: A night is rendered into another")
    assert purge(stores(), ["mug.png"], shop).rows == ((nights[1].uri, "mug"),)
    assert nights[1].head("images/mug.png") is None


def test_a_row_that_is_not_rendered_yet_is_told_until_it_is_purged(shop: Shop) -> None:
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    again = {row: f"another {row}" for row in ("lamp", "mug", "chair")}
    shop.render("2026-11-21", again, max_images=1)
    [told] = shop.purge().busy
    assert told == f"{shop.nights}/2026-11-21: is not finished, and draws mug when its render goes on."
    shop.render("2026-11-21", again)
    assert shop.purge().rows == ((f"{shop.nights}/2026-11-21", "mug"),)


def test_what_a_pruning_left_of_an_old_night_goes_too(shop: Shop, base: str) -> None:
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    shop.render("2026-11-21")
    prune(stores(), shop.nights, 1)
    stays = f"{shop.nights}/2026-11-20/images/mug.png"
    assert (stays in shop.purge().files) == base.startswith("s3://")
    assert not [path for path in everything(base) if "mug" in path]
    assert shop.job("2026-11-20").head("images/chair.png") is not None or not base.startswith("s3://")
    assert not verify(shop.job("2026-11-21")).discrepancies


def test_nothing_is_purged_while_a_publication_is_half_done(shop: Shop) -> None:
    shop.render("2026-11-20")
    shop.publish("2026-11-20")
    records = open_store(read_pointer(stores(), beside(shop.place)))
    [undo] = {path.split("/")[1] for path in records.paths("undo/")}
    records.put("pending.json", json.dumps({"undo": undo, "job": f"{shop.nights}/2026-11-20", "remove": True}).encode())
    with pytest.raises(JobError, match=r"was interrupted; finish it first: pressrun publish .* `remove`"):
        shop.purge()


@pytest.mark.parametrize("name", ["mug", "../mug.png", "/etc/mug.png", ""])
def test_what_is_no_pictures_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="give a picture's name as it stands in the place"):
        purge(stores(), [name], f"{tmp_path}/images")


def test_a_place_to_which_nothing_was_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Nothing tells where the records"):
        purge(stores(), ["mug.png"], f"{tmp_path}/images")
    night = make_night(f"{tmp_path}/2026-11-20", {"mug": drawn("mug")})
    with pytest.raises(JobError, match="Nothing was published to"):
        purge(stores(), ["mug.png"], f"{tmp_path}/images", night.uri)
    assert not (tmp_path / "images").exists()


def test_nothing_behind_a_link_is_touched(tmp_path: Path) -> None:
    night = make_night(f"{tmp_path}/nights/2026-11-20", {"mug": drawn("mug")})
    publish(stores(), night.uri, f"{tmp_path}/images")
    (tmp_path / "nights/2026-11-20/images").rename(tmp_path / "elsewhere")
    (tmp_path / "nights/2026-11-20/images").symlink_to(tmp_path / "elsewhere")
    make_night(f"{tmp_path}/theirs/2026-11-21", {"mug": drawn("mug")})
    (tmp_path / "nights/2026-11-21").symlink_to(tmp_path / "theirs/2026-11-21")
    done = purge(stores(), ["mug.png"], f"{tmp_path}/images")
    assert len(done.left) == 2 and all("link" in sentence for sentence in done.left)
    assert (tmp_path / "elsewhere/mug.png").exists() and (tmp_path / "theirs/2026-11-21/images/mug.png").exists()


def test_the_command_says_what_it_removed_and_what_nothing_is_known_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = make_night(f"{tmp_path}/nights/2026-11-20", {"mug": drawn("mug"), "lamp": drawn("lamp")})
    publish(stores(), night.uri, f"{tmp_path}/images")
    assert main(["publish", "--to", f"{tmp_path}/images", "--purge", "mug.png"]) == 0
    said = capsys.readouterr().out
    assert "1 file removed" in said and "1 job changed" in said and "Not looked at" in said
    assert main(["publish", "--to", f"{tmp_path}/images", "--purge", "lamp.png", "cup.png", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["unknown"] == ["cup"] and told["served"] == [f"{tmp_path}/images/lamp.png"]
    assert main(["publish", "--purge", "mug.png"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_any_write_the_same_command_completes(
    every: int, base: str, shop: Shop, killed_before: Callable[[int], None]
) -> None:
    number = 0
    while True:
        world = Shop(f"{base}/{number}", shop._finish, shop._tables)
        two_nights(world)
        world.render("2026-11-23", name="{season}-{custom_id}")
        killed_before(number)
        try:
            world.purge()
        except Killed:
            killed_before(-1)
        else:
            break
        for path in [path for path in open_store(base).paths(f"{number}/") if "/lock/" in path or "/.lock/" in path]:
            open_store(base).delete(path)
        world.purge()
        left = everything(f"{base}/{number}")
        assert not [path for path in left if "mug" in path.rpartition("/")[2] or "/purging/" in path], number
        for night in ("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"):
            assert not verify(world.job(night)).discrepancies, number
            assert world.rows(night)["mug"]["error_code"] == "purged"
            assert b"images/mug" not in world.job(night).get("index.html") + world.job(night).get("metadata.csv")
        number += every if base.startswith("/") else 5 * every
    killed_before(-1)
    assert number > 30

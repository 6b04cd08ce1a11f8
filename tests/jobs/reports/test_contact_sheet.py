"""The contact sheet: what it embeds, and what a person can do with it in a real browser."""

import datetime
import decimal
import json
import re
import time
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from pressrun.jobs.reports.contact_sheet import write_sheet

JOB = {"title": "Four seasons", "model": "mini", "out": "s3://campaigns/run-7"}
SUMMARY = {"seconds": 112.4, "images_per_second": 2.1}
EVIL = '<script>alert(1)</script><!-- </script> & "so on" {{data}} \u2028'
SHAPES = [(80, 80), (100, 60), (60, 100)]
SEASONS = ["spring", "summer", "autumn", "winter"]
NAMES = {1: "größe 100%", 2: "mug #2? a&b", 3: "マグカップ/冬", 4: "100%25 sure"}
RESULTS = pa.schema(
    {
        **{name: pa.string() for name in ("custom_id", "status", "image", "format", "sha256", "model")},
        **{name: pa.int64() for name in ("width", "height", "seed", "bytes")},
        **{name: pa.string() for name in ("error_code", "error_message", "prompt", "product", "season", "sku")},
        "finished_at": pa.timestamp("us", "UTC"),
        "seconds_denoise": pa.float64(),
    }
)


def row(number: int, **changes: object) -> dict[str, object]:
    """A finished request, `number` of its manifest."""
    name = NAMES.get(number, f"mug-{number:05d}")
    width, height = SHAPES[number % 3]
    return {
        "custom_id": name, "status": "succeeded", "image": f"images/{name}.png", "format": "png",
        "sha256": f"{number:064x}", "model": "mini", "width": width, "height": height,
        "seed": 2**62 + number, "bytes": 1000 + number,
        "prompt": f"A mug in {SEASONS[number % 4]} light", "product": ["mug", "lamp", "vase"][number % 3],
        "season": SEASONS[number % 4], "sku": f"SKU-{number}", "seconds_denoise": 0.123456,
        "finished_at": datetime.datetime(2026, 11, 21, 20, 40, number % 60, tzinfo=datetime.UTC),
    } | changes  # fmt: skip


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), RESULTS)


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", SHAPES[number % 3], (40 + 9 * number % 200, 90, 200 - 7 * number % 150))
    ImageDraw.Draw(picture).ellipse([10, 10, 50, 50], fill=(240, 220, 20 * number % 250))
    picture.save(path)


def embedded(page: bytes) -> dict:
    """What the page's script reads: the text up to the first end tag, as a browser would cut it."""
    match = re.search(r'<script type="application/json" id="data">(.*?)</script', page.decode(), re.DOTALL)
    assert match
    return json.loads(match[1])


def values(page: bytes, name: str) -> list:
    data = embedded(page)
    column = next(column for column in data["columns"] if column["name"] == name)
    if "codes" in column:
        return [column["values"][code] for code in column["codes"]]
    return column.get("cells") or [column["value"]] * data["shown"]


def facets(page: bytes) -> list[str]:
    return embedded(page)["facets"]


def test_every_cell_of_the_table_is_in_the_page():
    rows = [row(number) for number in range(8)]
    page = write_sheet(table(*rows), JOB, SUMMARY)
    for name in ("custom_id", "status", "image", "prompt", "season", "width", "sku"):
        assert values(page, name) == [each[name] for each in rows]


def test_a_prompt_cannot_leave_its_script_element():
    page = write_sheet(table(row(0, prompt=EVIL), row(1)), JOB | {"title": EVIL}, SUMMARY)
    assert values(page, "prompt")[0] == EVIL
    assert b"<script>alert" not in page
    assert page.count(b"</script>") == 2


def test_the_page_names_no_other_place():
    page = write_sheet(table(row(0)), JOB, SUMMARY).decode()
    assert not re.search(r"""(src|href)=(?!["']?data:)["']?\w+:|@import|url\((?!["']?data:)""", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        pytest.param(pa.array([2**62 + 1, 1]), [str(2**62 + 1), 1], id="integer-beyond-doubles"),
        pytest.param(pa.array([19.99, None], pa.float32()), [19.99, None], id="single-precision"),
        pytest.param(pa.array([float("nan"), float("inf")]), [None, None], id="not-finite"),
        pytest.param(pa.array([decimal.Decimal("1.10"), None]), ["1.10", None], id="decimal"),
        pytest.param(pa.array([datetime.date(2026, 11, 21), None]), ["2026-11-21", None], id="date"),
        pytest.param(pa.array([["a", "ü"], []]), ['["a", "ü"]', "[]"], id="list"),
        pytest.param(pa.array([b"\xff\x00", None]), ["2 bytes", None], id="binary"),
        pytest.param(pa.array([True, None]), [True, None], id="boolean"),
        pytest.param(pa.array(["x" * 5000, "y"]), ["x" * 4000 + "…", "y"], id="long-text"),
        pytest.param(pa.array(["a", "b"]).dictionary_encode(), ["a", "b"], id="dictionary"),
        pytest.param(pa.nulls(2), [None, None], id="null"),
    ],
)
def test_a_customers_column_of_any_type_is_readable(column: pa.Array, shown: list):
    page = write_sheet(table(row(0), row(1)).append_column("theirs", column), JOB, SUMMARY)
    assert values(page, "theirs") == shown


def test_columns_that_divide_the_rows_become_filters():
    rows = [row(number, status=["succeeded", "failed"][number % 2]) for number in range(48)]
    assert facets(write_sheet(table(*rows), JOB, SUMMARY)) == ["status", "product", "season"]


def test_a_sheet_of_many_rows_shows_the_first_and_counts_all():
    rows = [row(number, status=["succeeded", "cached"][number % 2]) for number in range(30)]
    data = embedded(write_sheet(table(*rows), JOB, SUMMARY, limit=10))
    assert (data["rows"], data["shown"]) == (30, 10)
    assert data["counts"] == {"succeeded": 15, "cached": 15}


def test_long_texts_do_not_make_a_page_too_large():
    rows = table(*(row(number, prompt=f"{number}" + "x" * 3000) for number in range(200)))
    page = write_sheet(rows, JOB, SUMMARY, page_bytes=100_000)
    assert len(page) < 200_000
    assert 10 < embedded(page)["shown"] < 200


def test_the_same_job_gives_the_same_bytes():
    assert write_sheet(table(row(0)), JOB, SUMMARY) == write_sheet(table(row(0)), JOB, SUMMARY)


def test_a_job_of_no_rows_has_a_sheet():
    assert embedded(write_sheet(table(), {}, {}))["rows"] == 0


# In the browser.

FAILED = row(5, status="failed", image=None, error_code="bad_size", error_message="The width must be positive.")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of 24 rows whose folder has an awkward name."""
    out = tmp_path_factory.mktemp("run") / "Ämter #1 50%"
    rows = [row(number) for number in range(24)]
    rows[5], rows[6] = FAILED, row(6, prompt=EVIL)
    for number, each in enumerate(rows):
        if each["image"]:
            draw(out / str(each["image"]), number)
            if number % 2:
                draw(out / f"thumbs/{str(each['image']).removeprefix('images/')}.webp", number)
    (out / "index.html").write_bytes(write_sheet(table(*rows), JOB, SUMMARY))
    return out / "index.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of 10,000 rows that share twelve pictures."""
    out = tmp_path_factory.mktemp("large")
    for number in range(12):
        draw(out / f"images/{number}.png", number)
        draw(out / f"thumbs/{number}.png.webp", number)
    rows = (row(number, image=f"images/{number % 12}.png") for number in range(10_000))
    (out / "index.html").write_bytes(write_sheet(table(*rows), JOB, SUMMARY))
    return out / "index.html"


class Sheet:
    """A page as a person has it before them."""

    def __init__(self, browser, page: Path, fragment: str = "") -> None:
        self.browser = browser
        browser.get(page.as_uri() + fragment)

    def ask(self, script: str):
        return self.browser.execute_script(f"return {script}")

    def until(self, script: str):
        """The script's answer once it is true."""
        end = time.monotonic() + 20
        while not (answer := self.ask(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)
        return answer

    def names(self) -> list[str]:
        return self.ask("[...document.querySelectorAll('.caption > span')].map(span => span.textContent)")

    def click(self, selector: str) -> None:
        self.browser.find_element("css selector", selector).click()

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(key).perform()

    def pick(self, value: str) -> None:
        self.click(f'.chip[title="{value}"]')

    def count(self, value: str) -> str:
        return self.ask(f"document.querySelector('.chip[title=\"{value}\"] small').textContent")


LOADED = "[...document.querySelectorAll('.tile img')].filter(img => img.naturalWidth > 0).length"


@pytest.mark.browser
def test_all_pictures_load_whatever_their_names_and_with_or_without_thumbnails(browser, job):
    sheet = Sheet(browser, job, "#size=100")
    assert len(sheet.names()) == 24
    sheet.until(f"{LOADED} === 23")


CHECKED = (
    row(0, flags="blank, duplicate", findings="There is little to see.", check_blank="flagged", check_blank_score=9.5),
    row(1, reseeds=2, findings="Seed 1: not sharp.\nSeed 2: not sharp.", check_sharpness="passed"),
    row(2, status="rejected", image=None, thumb="images/c.png", reseeds=1, findings="Seed 3: not sharp.\nNot sharp.",
        error_code="sharpness", error_message="Not sharp."),
    row(3, status="rejected", image=None, error_code="policy", error_message="A barred word."),
)  # fmt: skip


@pytest.fixture
def checked(browser, tmp_path) -> Sheet:
    """A sheet of a flagged picture, one of a third seed, one that was rejected, and one that was never rendered."""
    for number in range(2):
        draw(tmp_path / str(CHECKED[number]["image"]), number)
    draw(tmp_path / "thumbs/c.png.webp", 2)
    fields = {name: pa.string() for name in ("thumb", "flags", "findings", "renditions")}
    fields |= {"reseeds": pa.int32(), "check_blank_score": pa.float64()}
    fields |= {f"check_{name}": pa.string() for name in ("blank", "sharpness")}
    schema = pa.schema([*RESULTS, *fields.items()])
    (tmp_path / "index.html").write_bytes(write_sheet(pa.Table.from_pylist(list(CHECKED), schema), JOB, SUMMARY))
    return Sheet(browser, tmp_path / "index.html")


@pytest.mark.browser
def test_what_was_flagged_rejected_and_tried_again_is_marked_and_says_why(checked):
    sheet = checked
    sheet.until(f"{LOADED} === 3")
    marks = sheet.ask(
        "[...document.querySelectorAll('.tile')].map(tile => tile.querySelector('em')?.textContent ?? '')"
    )
    assert marks == ["flagged: blank, duplicate", "seed 3", "after 2 seeds", ""]
    whys = sheet.ask("[...document.querySelectorAll('.tile .why')].map(why => why.textContent)")
    assert whys == [
        "FlaggedThere is little to see.",
        "Not seed 2not sharp.",
        "RejectedNot sharp.",
        "RejectedA barred word.",
    ]
    figures = sheet.ask("[...document.querySelectorAll('.figures div')].map(figure => figure.textContent)")
    assert "flagged1" in figures and "reseeded1" in figures


@pytest.mark.browser
def test_a_row_opens_with_everything_that_the_checks_said(checked):
    sheet = checked
    sheet.until(f"{LOADED} === 3")
    said = []
    for number in range(3):
        sheet.ask(f"openRow({number})")
        said.append(sheet.ask("document.querySelector('.cause').innerText"))
    assert said == [
        "There is little to see.",
        "Seed 1: not sharp.\nSeed 2: not sharp.",
        "Seed 3: not sharp.\nNot sharp.",
    ]
    sheet.ask("openRow(0)")
    assert "blank\nflagged (9.5)" in sheet.ask("document.querySelector('.row').innerText")


@pytest.mark.browser
def test_a_picture_kept_from_an_earlier_job_is_found_beside_this_one(browser, tmp_path):
    draw(tmp_path / "run 6/images/a%23.png", 0)
    kept = row(0, status="cached", image="s3://campaigns/run 6/images/a%23.png")
    lost = row(1, status="cached", image="s3://elsewhere/images/a.png")
    (tmp_path / "run-7").mkdir()
    (tmp_path / "run-7/index.html").write_bytes(write_sheet(table(kept, lost), JOB, SUMMARY))
    sheet = Sheet(browser, tmp_path / "run-7/index.html")
    sheet.until(f"{LOADED} === 1")
    assert sheet.ask("document.querySelector('.why').textContent") == "Kept elsewheres3://elsewhere/images/a.png"


@pytest.mark.browser
def test_nothing_but_files_is_asked_for(browser, job):
    sheet = Sheet(browser, job)
    sheet.click(".tile button")
    sheet.until("document.querySelector('.stage img').naturalWidth > 0")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 24
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


@pytest.mark.browser
def test_a_failed_row_is_a_tile_with_its_sentence(browser, job):
    sheet = Sheet(browser, job)
    assert sheet.ask("document.querySelector('.tile.failed .why').textContent") == "FailedThe width must be positive."


@pytest.mark.browser
def test_picked_values_filter_and_the_other_counts_follow(browser, job):
    sheet = Sheet(browser, job)
    assert sheet.count("spring") == "6"
    sheet.pick("lamp")
    assert sheet.ask("document.querySelector('.tally').textContent") == "8 of 24"
    assert sheet.count("spring") == "2"
    assert sheet.count("mug") == "8", "a value's count ignores its own column's filter"
    sheet.pick("vase")
    sheet.pick("spring")
    assert sheet.names() == ["100%25 sure", "mug-00008", "mug-00016", "mug-00020"]


@pytest.mark.browser
def test_words_are_found_in_names_prompts_and_columns(browser, job):
    sheet = Sheet(browser, job)
    box = browser.find_element("id", "find")
    box.send_keys("sku-17 SUMMER")
    assert sheet.until("document.querySelector('.tally').textContent === '1 of 24'")
    assert sheet.names() == ["mug-00017"]
    box.clear()
    box.send_keys("no such thing")
    sheet.until("!document.querySelector('.empty').hidden")
    box.clear()
    box.send_keys("GROSSE")
    sheet.until("document.querySelector('.tally').textContent === '1 of 24'")
    assert sheet.names() == ["größe 100%"]


@pytest.mark.browser
def test_enter_shows_a_picture_with_its_row_and_arrows_turn_the_page(browser, job):
    from selenium.webdriver.common.keys import Keys

    sheet = Sheet(browser, job)
    sheet.ask("document.querySelector('.tile button').focus()")
    sheet.press(Keys.ARROW_RIGHT)
    sheet.press(Keys.ENTER)
    sheet.until("document.querySelector('dialog').open && document.querySelector('.stage img').naturalWidth === 100")
    shown = sheet.ask("document.querySelector('.card').innerText")
    for text in ("größe 100%", "A mug in summer light", "SKU-1", str(2**62 + 1), "images/größe 100%.png", "2 of 24"):
        assert text in shown
    sheet.press(Keys.ARROW_RIGHT)
    assert sheet.ask("document.querySelector('#name').textContent") == "mug #2? a&b"
    sheet.press(Keys.ESCAPE)
    sheet.until("!document.querySelector('dialog').open")
    sheet.until("document.activeElement.textContent === 'mug #2? a&b'")


@pytest.mark.browser
def test_a_script_in_a_prompt_is_text(browser, job):
    sheet = Sheet(browser, job, "#open=mug-00006")
    assert sheet.ask("document.querySelector('.prompt').textContent") == EVIL
    assert sheet.ask("document.scripts.length") == 2
    assert {entry["source"] for entry in browser.get_log("browser")} <= {"network"}, "only thumbnails may be missed"


@pytest.mark.browser
def test_a_link_shows_a_colleague_the_same(browser, job):
    sheet = Sheet(browser, job)
    sheet.pick("lamp")
    sheet.click(".tile[aria-posinset='3'] button")
    link = browser.current_url
    browser.get("about:blank")
    colleague = Sheet(browser, job, "#" + link.partition("#")[2])
    assert colleague.ask("document.querySelector('.place').textContent") == "3 of 8"
    assert colleague.ask("document.querySelector('#name').textContent") == "mug-00007"


@pytest.mark.browser
def test_ten_thousand_rows_keep_the_page_small_and_the_last_within_reach(browser, large, capsys):
    start = time.perf_counter()
    sheet = Sheet(browser, large)
    sheet.until(f"{LOADED} > 8")
    seconds, megabytes = time.perf_counter() - start, large.stat().st_size / 1e6
    with capsys.disabled():
        print(f"\n10,000 rows ({megabytes:.1f} MB): first tiles after {seconds:.2f} s")
    for part in (0.25, 0.5, 0.75, 1):
        sheet.ask(f"scrollTo(0, document.documentElement.scrollHeight * {part})")
        sheet.until("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
        assert sheet.ask("document.querySelectorAll('*').length") < 3000
    sheet.until("document.querySelector('.tile[aria-posinset=\"10000\"] img')?.naturalWidth > 0")
    assert sheet.names()[-1] == "mug-09999"
    bottom = sheet.ask("document.querySelector('.sheet').lastElementChild.getBoundingClientRect().bottom")
    assert bottom <= sheet.ask("innerHeight")


@pytest.mark.browser
def test_the_end_key_reaches_the_last_of_ten_thousand(browser, large):
    from selenium.webdriver.common.keys import Keys

    sheet = Sheet(browser, large)
    sheet.ask("document.querySelector('.tile button').focus()")
    sheet.press(Keys.END)
    sheet.until("document.activeElement.textContent === 'mug-09999'")

"""Marks: what a person says of pictures in a page, and what `pressrun decide` makes of it."""

import base64
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pressrun import JobSpec, Summary, render
from pressrun.cluster.protocol.unit import Item
from pressrun.jobs.cli.command import main
from pressrun.jobs.decisions.deciding import decide
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.decisions.marks import Mark, read_marks
from pressrun.jobs.reports.matrix import Matrix, write_matrix
from pressrun.jobs.run.open_job import OpenJob
from pressrun.pipeline.errors import JobError
from tests.jobs.executor_here import HereExecutor
from tests.jobs.reports.test_contact_sheet import Sheet, embedded
from tests.opening import open_store, stores

NAMES = ("mug/EU", "mug/US", "cap/EU", "cap/US", "bag/EU", "bag/US")
SIZES = ((96, 96), (128, 80), (64, 112))
BY_REGION = Matrix(("product",), ("region",), {})
LOCKED = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('locked') } })"


def drawn(job: OpenJob, item: Item) -> np.ndarray:
    noise = np.random.default_rng(int(item.render_key[:12], 16))
    return noise.integers(0, 256, (item.request.height, item.request.width, 3), np.uint8)


def spec_of(folder: Path, out: str = "The spring's job") -> JobSpec:
    """A job of six pictures, and of a row that fails."""
    rows = [
        {"custom_id": name, "prompt": f"a {name[:3]}", "seed": seed, "width": SIZES[seed % 3][0]}
        | {"height": SIZES[seed % 3][1], "product": name[:3], "region": name[4:]}
        for seed, name in enumerate(NAMES)
    ]
    rows.append(rows[0] | {"custom_id": "odd", "seed": 6, "width": -1})
    pq.write_table(pa.Table.from_pylist(rows), folder / "m.parquet")
    return JobSpec(f"{folder}/m.parquet", f"{folder}/{out}", name="{product}-{region}-{seed}")


def run(spec: JobSpec) -> Summary:
    return render(spec, executor=HereExecutor(drawn))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    """Never to be changed."""
    spec = spec_of(tmp_path_factory.mktemp("marks"))
    assert (run(spec).succeeded, Path(spec.out, "matrix.html").exists()) == (6, False)
    Path(spec.out, "matrix.html").write_bytes(write_matrix(open_store(spec.out), BY_REGION)[0])
    return spec


@pytest.fixture
def spec(finished: JobSpec, tmp_path: Path) -> JobSpec:
    """A copy that a test may change."""
    shutil.copy(finished.manifest, tmp_path / "m.parquet")
    shutil.copytree(finished.out, tmp_path / Path(finished.out).name)
    return spec_of(tmp_path)


def known(page: bytes) -> dict[str, Any]:
    return {name: value for name, value in embedded(page).items() if name in ("decisions", "cut", "fingerprint")}


def matrix_of(spec: JobSpec, **options: Any) -> dict[str, Any]:
    return embedded(write_matrix(open_store(spec.out), Matrix(("product",), ("region",), {}, **options))[0])


def index_of(spec: JobSpec) -> dict[str, Any]:
    return embedded(Path(spec.out, "index.html").read_bytes())


def test_a_page_runs_its_whole_script_and_no_other(finished: JobSpec) -> None:
    for name in ("index.html", "matrix.html"):
        text = Path(finished.out, name).read_text()
        script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
        assert script and "function openMarks" in script[1] and "{{" not in script[1]
        digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in text


def test_what_was_decided_before_is_in_the_page(spec: JobSpec) -> None:
    store, fingerprint = open_store(spec.out), json.loads(Path(spec.out, "job.json").read_text())["fingerprint"]
    decide(store, [Mark("mug/EU", None, "approved", "Lovely."), Mark("cap/EU", None, "rejected", None, True, "a hat")])
    told = matrix_of(spec)
    assert told["decisions"] == {
        "mug/EU": {"verdict": "approved", "again": False, "comment": "Lovely.", "prompt": None},
        "cap/EU": {"verdict": "rejected", "again": True, "comment": "", "prompt": "a hat"},
    }
    run(spec)
    assert told["fingerprint"] == index_of(spec)["fingerprint"] == fingerprint
    assert index_of(spec)["decisions"] == {"mug/EU": told["decisions"]["mug/EU"]}, "the new picture is undecided"


def test_words_are_those_that_the_picture_was_made_with(spec: JobSpec) -> None:
    decide(open_store(spec.out), [Mark("cap/EU", None, "rejected", None, True, "a hat")])
    run(spec)
    decide(open_store(spec.out), [Mark("cap/EU", None, "rejected", None, True, "a cap")])
    told = matrix_of(spec)
    prompts = next(fact["cells"] for fact in told["facts"] if fact["name"] == "prompt")
    assert prompts[told["ids"].index("cap/EU")] == "a hat"
    assert told["decisions"]["cap/EU"]["prompt"] == "a cap", "the manifest's own words are other words to this picture"


def test_words_that_a_page_does_not_show_whole_cannot_be_changed_in_it(tmp_path: Path) -> None:
    secret = "a mug, https://ada:hunter2@a.example/"
    rows = [{"custom_id": "a", "prompt": secret}, {"custom_id": "b", "prompt": "a mug" + " red" * 2_000}]
    rows.append({"custom_id": "c", "prompt": "a mug"})
    pq.write_table(pa.Table.from_pylist([{"width": 64, "height": 64, **row} for row in rows]), tmp_path / "m.parquet")
    spec = JobSpec(f"{tmp_path}/m.parquet", f"{tmp_path}/out")
    run(spec)
    matrix = embedded(write_matrix(open_store(spec.out), Matrix(("custom_id",), ("width",), {}))[0])
    assert (matrix["cut"], index_of(spec)["cut"]) == ([0, 1], [0, 1])


def test_a_page_of_the_undecided_leaves_out_what_has_a_verdict_and_what_has_no_picture(spec: JobSpec) -> None:
    assert matrix_of(spec, undecided=True)["ids"] == [*NAMES]
    said = [Mark("mug/EU", None, "approved"), Mark("cap/EU", None, "rejected"), Mark("bag/EU", comment="Hm.")]
    decide(open_store(spec.out), said)
    assert matrix_of(spec, undecided=True)["ids"] == ["mug/US", "cap/US", "bag/EU", "bag/US"]


def test_where_everything_is_decided_the_command_says_so(spec: JobSpec, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["sheet", spec.out, "--rows", "product", "--columns", "region", "--undecided"]
    decide(open_store(spec.out), [Mark(name, None, "approved") for name in NAMES[:5]])
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 1
    for more in (("--where", "region=EU"), ()):
        if not more:
            decide(open_store(spec.out), [Mark(NAMES[5], None, "rejected")])
        assert main([*asked, *more, "--json"]) == 2
        refused = json.loads(capsys.readouterr().out)
        assert refused == {"refused": ["Every picture is decided."], "codes": ["nothing_to_do"]}
    assert main([*asked, "--where", "product=mug", "--where", "region=none"]) == 2
    assert "No row has what --where asks for." in capsys.readouterr().err
    assert main(["sheet", spec.out, "--pick", "mug/EU", "--undecided", "--out", "x.parquet"]) == 2
    assert "leave out --rows, --columns, --where, --rendition and --undecided" in capsys.readouterr().err


def luminance(colour: str) -> float:
    colour = "#" + "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_marks_have_enough_contrast(scheme: int) -> None:
    def colours(name: str) -> dict[str, str]:
        text = resources.files("pressrun.jobs.reports").joinpath(name).read_text()
        return dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", re.findall(r":root \{(.*?)\}", text, re.DOTALL)[scheme]))

    for page in ("sheet.html", "matrix.html"):
        for ground in ("paper", "raised"):
            for mark in ("approved", "unwanted", "again", "noted"):
                pair = sorted((luminance(colours("marks.css")[mark]), luminance(colours(page)[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (page, ground, mark)


# In the browser.


class Page(Sheet):
    """A page whose pictures somebody marks."""

    def __init__(self, browser: Any, page: Path, fragment: str = "") -> None:
        super().__init__(browser, page, fragment)
        self.sheet = page.name == "index.html"

    def tile(self, row: int) -> str:
        return f".tile[data-row='{row}']"

    def click(self, selector: str) -> None:
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{ block: 'center' }})")
        super().click(selector)

    def on(self, row: int, *keys: str) -> None:
        """Press keys on a picture."""
        self.ask(f'document.querySelector("{self.tile(row)} > button").focus()')
        for key in keys:
            self.press(key)

    def decisions(self) -> list[str]:
        return self.ask("[...document.querySelectorAll('.tile[data-decision]')].map(tile => tile.dataset.decision)")

    def counts(self) -> list[int]:
        return self.ask("[...document.querySelectorAll('.count b')].map(each => Number(each.textContent))")

    def download(self, folder: Path) -> Path:
        folder.mkdir()
        said = {"behavior": "allow", "downloadPath": str(folder)}
        self.browser.execute_cdp_cmd("Browser.setDownloadBehavior", said)
        self.click(".download")
        end = time.monotonic() + 20
        while not (found := [file for file in folder.glob("*.json") if file.stat().st_size]):
            assert time.monotonic() < end
            time.sleep(0.05)
        return found[0]

    def said(self) -> list[dict[str, Any]]:
        """What would be downloaded now, without the digests."""
        self.ask("void (window.blobs = [], URL.createObjectURL = blob => { blobs.push(blob); return 'blob:none'; })")
        self.ask("void (HTMLAnchorElement.prototype.click = () => {})")
        self.click(".download")
        self.browser.execute_script("blobs[0].text().then(text => { window.told = text; })")
        marks = json.loads(self.until("window.told"))["marks"]
        return [{name: value for name, value in mark.items() if name != "sha256"} for mark in marks]


def said(custom_id: str, verdict: str, again: bool = False, comment: str = "", prompt: str | None = None) -> Any:
    return {"custom_id": custom_id, "verdict": verdict, "again": again, "comment": comment, "prompt": prompt}


@pytest.fixture(params=["index.html", "matrix.html"])
def page(request: pytest.FixtureRequest, browser: Any, finished: JobSpec) -> Iterator[Page]:
    yield opened(browser, Path(finished.out, request.param))


def opened(browser: Any, path: Path) -> Page:
    """A page in a browser that remembers nothing."""
    browser.get(path.as_uri())
    browser.execute_script("localStorage.clear()")
    return Page(browser, path)


def keys() -> Any:
    from selenium.webdriver.common.keys import Keys

    return Keys


@pytest.mark.browser
def test_pictures_are_marked_by_keys_and_the_same_key_takes_a_mark_back(page: Page) -> None:
    assert (page.decisions(), page.counts()) == (["undecided"] * 6, [0, 0, 0, 6])
    page.on(0, "a")
    page.on(1, "r")
    page.on(2, "g")
    page.on(3, "a", "a")
    page.on(4, "r", "u")
    page.on(5, "a", "r", "g")
    assert page.decisions() == ["approved", "rejected", "again", "undecided", "undecided", "again"]
    assert page.counts() == [1, 1, 2, 2]
    assert page.ask("document.querySelector('.download').textContent") == "Download marks (4)"
    assert page.said() == [
        *(said("mug/EU", "approved"), said("mug/US", "rejected")),
        *(said("cap/EU", "rejected", again=True), said("bag/US", "rejected", again=True)),
    ]


@pytest.mark.browser
def test_pictures_are_marked_by_mouse_below_them(page: Page) -> None:
    for row, mark in ((0, "approve"), (1, "reject"), (2, "again")):
        page.click(f"{page.tile(row)} .mark.{mark}")
    assert page.decisions() == ["approved", "rejected", "again", "undecided", "undecided", "undecided"]
    assert not page.ask("document.querySelector('dialog').open"), "a mark opens no picture"
    page.click(f"{page.tile(3)} .mark.comment")
    assert page.ask("document.querySelector('#name').textContent") == "cap/US"
    assert page.ask("document.activeElement.className") == "said-of"


@pytest.mark.browser
def test_marks_cover_nothing_of_a_picture(page: Page) -> None:
    page.on(0, "a")
    box = 'document.querySelector("{} {}").getBoundingClientRect().toJSON()'
    picture, strip = (page.ask(box.format(page.tile(0), part)) for part in ("img", ".strip"))
    assert strip["top"] >= picture["bottom"]
    style = page.ask(
        f'(s => [s.outlineOffset, s.outlineStyle])(getComputedStyle(document.querySelector("{page.tile(0)} .frame")))'
    )
    assert style == ["2px", "solid"]


@pytest.mark.browser
def test_a_row_without_a_picture_cannot_be_marked(page: Page) -> None:
    page.on(6, "a")
    assert page.counts() == [0, 0, 0, 6]
    assert page.ask(f'document.querySelector("{page.tile(6)} .strip")') is None


@pytest.mark.browser
def test_the_large_view_turns_marks_and_comments(page: Page) -> None:
    page.on(0, keys().ENTER, "a", "j", "r", keys().ARROW_RIGHT, "g", "k", "c")
    assert page.ask("document.activeElement.className") == "said-of"
    page.press("Too dark: a, r, j.")
    assert page.ask("document.querySelector('#name').textContent") == "mug/US", "letters in a field are text"
    page.press(keys().ESCAPE)
    assert page.ask("document.querySelector('dialog').open"), "the field is left, not the view"
    page.press("u")
    page.press(keys().ESCAPE)
    page.until("!document.querySelector('dialog').open")
    assert page.decisions()[:3] == ["approved", "undecided", "again"]
    marks = page.said()
    assert marks[1] == said("mug/US", "", comment="Too dark: a, r, j.") and len(marks) == 3
    note = page.ask(f'document.querySelector("{page.tile(1)} .note").title')
    assert note == "Too dark: a, r, j."


@pytest.mark.browser
def test_words_are_in_a_mark_where_they_were_changed(page: Page) -> None:
    words = "document.querySelector('.next-words')"
    page.on(0, keys().ENTER)
    assert page.ask(f"{words}.parentElement.hidden"), "words are for what is rendered again"
    page.press("g")
    assert page.ask(f"{words}.value") == "a mug"
    area = page.browser.find_element("css selector", ".next-words")
    area.send_keys(", red")
    assert page.ask("document.querySelector('#name').textContent") == "mug/EU"
    page.press(keys().ESCAPE)
    for key in ("j", "g", "k", "a", "g"):
        page.press(key)
    assert page.ask(f"{words}.value") == "a mug, red", "typed words are not lost where one changes one's mind"
    page.press(keys().ESCAPE)
    page.until("!document.querySelector('dialog').open")
    assert page.said() == [
        said("mug/EU", "rejected", again=True, prompt="a mug, red"),
        said("mug/US", "rejected", again=True),
    ]


@pytest.mark.browser
def test_a_reload_loses_nothing_and_the_other_page_shows_the_same(browser: Any, finished: JobSpec) -> None:
    page = opened(browser, Path(finished.out, "index.html"))
    page.on(0, "a")
    page.on(2, "c")
    page.press("Hm.")
    browser.refresh()
    assert page.decisions() == ["approved", *["undecided"] * 5]
    matrix = Page(browser, Path(finished.out, "matrix.html"))
    assert matrix.decisions() == page.decisions()
    assert matrix.said() == [said("mug/EU", "approved"), said("cap/EU", "", comment="Hm.")]


@pytest.mark.browser
def test_marks_go_back_at_a_second_click(page: Page) -> None:
    page.on(0, "a")
    page.click(".foot .clear")
    assert page.ask("document.querySelector('.foot .clear').textContent") == "Take back 1 mark?"
    assert page.counts() == [1, 0, 0, 5]
    page.click(".foot .clear")
    assert page.counts() == [0, 0, 0, 6]
    page.browser.refresh()
    assert page.counts() == [0, 0, 0, 6]


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index.html", "matrix.html"])
def test_downloaded_marks_are_what_decide_takes(name: str, browser: Any, spec: JobSpec, tmp_path: Path) -> None:
    page = opened(browser, Path(spec.out, name))
    page.on(0, "a")
    page.on(2, keys().ENTER, "g", "c")
    page.press("Rounder, „please“ <b> 🙂")
    page.press(keys().ESCAPE)
    page.browser.find_element("css selector", ".next-words").send_keys(" with a brim")
    page.press(keys().ESCAPE)
    page.press(keys().ESCAPE)
    page.on(4, "r")
    file = page.download(tmp_path / "downloads")
    assert file.name == "marks-The-spring-s-job.json"
    command = page.ask("document.querySelector('.next code').innerText")
    assert command.startswith("pressrun decide '/") and command.endswith(
        "/The spring'\\''s job' marks-The-spring-s-job.json"
    )
    fingerprint = index_of(spec)["fingerprint"]
    marks = read_marks(stores(), str(file), fingerprint)
    assert [(mark.custom_id, mark.verdict, mark.again, mark.prompt) for mark in marks] == [
        ("mug/EU", "approved", False, None),
        ("cap/EU", "rejected", True, "a cap with a brim"),
        ("bag/EU", "rejected", False, None),
    ]
    with pytest.raises(JobError, match="the marks of another job"):
        read_marks(stores(), str(file), "0" * 64)
    assert main(["decide", spec.out, str(file)]) == 0
    again = next(one for one in read_decisions(open_store(spec.out)).all if one.again)
    assert (again.custom_id, again.comment) == ("cap/EU", "Rounder, „please“ <b> 🙂")
    assert run(spec).rendered == 1


@pytest.mark.browser
def test_a_page_made_after_decisions_shows_them_and_counts_no_change(browser: Any, spec: JobSpec) -> None:
    page = opened(browser, Path(spec.out, "matrix.html"))
    page.on(0, "a")
    page.on(1, "r")
    decide(open_store(spec.out), [Mark("mug/EU", None, "approved"), Mark("mug/US", None, "approved")])
    decide(open_store(spec.out), [Mark("cap/EU", None, "rejected", "Why?", True, "a hat")])
    assert main(["sheet", spec.out, "--rows", "product", "--columns", "region"]) == 0
    browser.refresh()
    assert page.decisions() == ["approved", "approved", "again", *["undecided"] * 3], "what was decided since counts"
    assert page.ask("document.querySelector('.download').hidden")
    page.on(2, keys().ENTER)
    fields = page.ask("['.next-words', '.said-of'].map(name => document.querySelector(name).value)")
    assert fields == ["a hat", "Why?"]
    page.press("u")
    page.press(keys().ESCAPE)
    assert page.said() == [said("cap/EU", "", comment="Why?")]


@pytest.mark.browser
def test_the_contact_sheets_filter_follows_what_is_decided(browser: Any, finished: JobSpec) -> None:
    page = opened(browser, Path(finished.out, "index.html"))
    page.pick("undecided")
    assert page.names() == [*NAMES]
    page.on(0, "a")
    assert page.names() == [*NAMES[1:]]
    page.until("document.activeElement.textContent === 'mug/US'")
    page.press(keys().ENTER)
    for key in ("r", "j", "a", "j"):
        page.press(key)
    assert page.ask("document.querySelector('.place').textContent") == "3 of 5", "an open picture keeps its place"
    page.press(keys().ESCAPE)
    page.until("!document.querySelector('dialog').open")
    assert page.names() == [*NAMES[3:]]
    assert [page.count(value) for value in ("approved", "rejected", "again", "undecided")] == ["2", "1", "0", "3"]
    page.pick("undecided")
    page.pick("rejected")
    assert page.names() == ["mug/US"]


@pytest.mark.browser
def test_a_matrix_turns_to_what_is_undecided(browser: Any, finished: JobSpec) -> None:
    page = opened(browser, Path(finished.out, "matrix.html"))
    page.on(1, "a")
    page.click("#undecided")
    assert page.ask("getComputedStyle(document.querySelector(\".tile[data-row='3']\")).opacity") == "1"
    page.on(0, keys().ENTER)
    assert page.ask("getComputedStyle(document.querySelector(\".tile[data-row='1']\")).opacity") == "0.12"
    page.press("j")
    assert page.ask("document.querySelector('#name').textContent") == "cap/EU"
    page.press("k")
    assert page.ask("document.querySelector('#name').textContent") == "mug/EU"


@pytest.mark.browser
def test_where_a_browser_keeps_nothing_the_page_says_so(browser: Any, finished: JobSpec) -> None:
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LOCKED})
    try:
        page = Page(browser, Path(finished.out, "matrix.html"))
        page.on(0, "a")
        page.until("document.querySelector('.hint').textContent.startsWith('This browser keeps nothing')")
        assert page.said() == [said("mug/EU", "approved")]
        page.click(".foot .clear")
        page.click(".foot .clear")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.fixture
def window(browser: Any) -> Iterator[Any]:
    """Sets the window's width."""

    def set_width(width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    yield set_width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_a_contact_sheet_fits_the_window(width: int, window: Any, browser: Any, finished: JobSpec) -> None:
    window(width)
    page = opened(browser, Path(finished.out, "index.html"))
    page.on(0, "a")
    assert page.ask("document.documentElement.scrollWidth - innerWidth") <= 0
    foot = page.ask("document.querySelector('.download').getBoundingClientRect().toJSON()")
    assert foot["left"] >= 0 and foot["right"] <= width
    page.on(0, keys().ENTER)
    assert page.ask("document.querySelector('dialog').scrollWidth") <= width


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 2560])
def test_a_matrix_fills_the_window(width: int, window: Any, browser: Any, tmp_path: Path) -> None:
    rows = [{"custom_id": f"{line}{at}", "prompt": "x", "width": 64, "height": 64, "line": line, "at": at}
            for line in "ab" for at in "xyz"]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    spec = JobSpec(f"{tmp_path}/m.parquet", f"{tmp_path}/out")
    run(spec)
    for image in Path(spec.out, "images").iterdir():  # as large as pictures are
        Image.open(image).resize((900, 900)).save(image)
    page_bytes, _ = write_matrix(open_store(spec.out), Matrix(("line",), ("at",), {}))
    Path(spec.out, "matrix.html").write_bytes(page_bytes)
    window(width)
    page = opened(browser, Path(spec.out, "matrix.html"))
    assert page.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    shown = page.ask("[...document.querySelectorAll('tr:nth-child(1) .frame')].map(each => each.offsetWidth)")
    assert sum(shown) > 0.7 * width
    page.until("[...document.querySelectorAll('tr:nth-child(1) img')].every(each => each.naturalWidth === 900)"
               if width == 2560 else "true")  # fmt: skip

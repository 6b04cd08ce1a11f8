"""Who is told how a night went: a mail's text, metrics, plain files, a webhook; and that none of them ends a night."""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from pressrun.jobs.night import webhook as webhook_module
from pressrun.jobs.night.metrics import write_metrics
from pressrun.jobs.night.report import NightReport
from pressrun.jobs.night.webhook import keys_of
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import JobError
from tests.jobs.night.shop import FILE, Shop
from tests.opening import stores
from tests.web_server import Server, serving

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, eh").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret of as many bytes!").decode()
FOUR = {name: f"a {name}" for name in ("mug", "cap", "bag", "lamp")}
REPORT = """
[report]
file = "reports/{night}.txt"
metrics = "pressrun.prom"
public = "status"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(str(tmp_path), FILE + REPORT)
    shop.wants(FOUR)
    return shop


def context(secret: str = SECRET) -> Context:
    return Context(stores(), webhook_secret=secret)


def test_the_report_is_a_mail_with_its_subject_in_the_first_line(shop: Shop) -> None:
    shop.night(20)
    shop.wants({"mug": "a red mug", "cap": "a cap", "bag": ""})
    shop.night(21, named=lambda sentence: re.sub("`([a-z]+)`", r"--\1", sentence))
    subject, empty, *lines = shop.store.get("reports/2026-11-21.txt").decode().splitlines()
    assert subject == "Pressrun night 2026-11-21: 1 row without a picture, 2 of 3 pictures ready, 2 published"
    assert empty == "" and "`" not in "".join(lines)
    text = "\n".join(lines)
    for part in (
        "Ended       partly done (exit code 1)",
        "Rows        3: 1 succeeded, 1 cached, 1 failed",
        "Published   0 added, 1 replaced, 1 removed, 1 unchanged",
        f"            undo: pressrun publish --undo {shop.base}/nights/.published/",
        "Changed     since 2026-11-20: 1 changed, 0 added, 2 removed (1 prompt)",
        "  - 1 x missing_prompt, such as bag:",
        f"pressrun failures {shop.base}/nights/2026-11-21 --out again.parquet",
    ):
        assert part in text, text


def samples(shop: Shop) -> dict[str, float]:
    """The samples of the metrics file by name and labels, in the syntax that Prometheus gives."""
    found: dict[str, float] = {}
    types: set[str] = set()
    for line in shop.store.get("pressrun.prom").decode().splitlines():
        if line.startswith("# TYPE "):
            types.add(re.fullmatch(r"# TYPE (\w+) gauge", line)[1])  # type: ignore[index]
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'(\w+)\{nights="[^"]*"(?:,(\w+="\w+"))?\} (\S+)', line)
            assert match and match[1] in types, line
            found[match[1].removeprefix("pressrun_night_") + (f" {match[2]}" if match[2] else "")] = float(match[3])
    return found


def test_metrics_tell_figures_and_when_a_night_was_last_good(shop: Shop) -> None:
    good = shop.night(20)
    first = samples(shop)
    assert (first["success"], first["exit_code"], first["rendered"]) == (1, 0, 4)
    assert first["timestamp_seconds"] == pytest.approx(good.ended.timestamp(), abs=0.01)
    assert (first['rows status="succeeded"'], first['published action="added"']) == (4, 4)
    assert first['duration_seconds phase="render"'] > 0
    shop.wants({"mug": "a red mug", "cap": ""})
    shop.night(21)
    second = samples(shop)
    assert (second["success"], second["exit_code"], second['rows status="failed"']) == (0, 1, 1)
    assert second["last_success_timestamp_seconds"] == first["last_success_timestamp_seconds"]
    shop.store.delete("tonight.parquet")
    with pytest.raises(JobError):
        shop.night(22)
    third = samples(shop)
    assert (third["success"], third["exit_code"]) == (0, 2) and 'rows status="failed"' not in third
    assert not [path for path in shop.store.paths() if "prom" in path and path != "pressrun.prom"]


def test_labels_of_metrics_are_escaped(tmp_path: Path) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    report = NightReport("2026-11-20", "job", now, now, 0)
    write_metrics(stores(), f"{tmp_path}/x.prom", 'a "b"\\\nc', report)
    assert '{nights="a \\"b\\"\\\\\\nc"} 1' in (tmp_path / "x.prom").read_text()


def test_plain_files_tell_addresses_history_and_changes_and_no_secret(shop: Shop) -> None:
    shop.rewrite(FILE.replace('to = "images"', 'to = "images"\naddress = "https://img.example.com/shop/"') + REPORT)
    shop.wants({"mug=1": "a mug, api_key=geheim123456", "cap": "a cap", "bag <b>": "a bag"})
    shop.night(20)
    shop.wants({"mug=1": "a red mug, api_key=geheim123456", "cap": "a cap"})
    shop.night(21)
    files = {path: shop.at("status").get(path) for path in shop.at("status").paths()}
    assert sorted(files) == ["diff.html", "history.json", "images.csv", "index.html"]
    rows = [*csv.DictReader(io.StringIO(files["images.csv"].decode()))]
    assert [row["custom_id"] for row in rows] == ["cap", "mug=1"]
    [mug] = [row for row in rows if row["custom_id"] == "mug=1"]
    assert mug["address"] == f"https://img.example.com/shop/{mug['name'].replace('%', '%25').replace('=', '%3D')}"
    assert re.fullmatch(r"[0-9a-f]{64}", mug["sha256"]) and mug["updated"].endswith("Z")
    nights = json.loads(files["history.json"])["nights"]
    assert [(night["night"], night["rendered"], night["exit_code"]) for night in nights] == [
        ("2026-11-21", 1, 0),
        ("2026-11-20", 3, 0),
    ]
    assert mug["address"].encode() in files["diff.html"] and b"bag &lt;b&gt;" in files["diff.html"]
    for data in files.values():
        assert b"geheim" not in data and b"a red mug" not in data and shop.base.encode() not in data


def test_without_an_address_pictures_are_found_from_the_page(shop: Shop) -> None:
    shop.night(20)
    rows = [*csv.DictReader(io.StringIO(shop.store.get("status/images.csv").decode()))]
    assert [row["address"] for row in rows] == [f"../images/{row['name']}" for row in rows]


def test_a_picture_that_somebody_replaced_has_no_address(shop: Shop) -> None:
    shop.night(20)
    shop.rewrite(FILE.replace('to = "images"', 'to = "images"\nwhen = "complete"') + REPORT)
    shop.at("images").put("mug.png", b"somebody's")
    shop.wants(FOUR | {"sofa": ""})
    shop.night(21)
    assert "mug.png" not in shop.store.get("status/images.csv").decode()


def test_a_website_is_not_replaced_by_plain_files(shop: Shop) -> None:
    shop.at("status").put("index.html", b"the shop's own")
    report = shop.night(20)
    assert report.exit_code == 0 and "index.html is not of a night" in report.problems[0]
    assert [*shop.at("status").paths()] == ["index.html"]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


class Hook:
    """A receiver, and what it was sent."""

    def __init__(self, server: Server, shop: Shop, *statuses: int, allowed: bool = True) -> None:
        self.sent: list[tuple[dict[str, str], bytes]] = []
        self._statuses = iter(statuses)
        host = f'"127.0.0.1:{server.port}"' if allowed else ""
        shop.rewrite(f'{FILE}[webhook]\nurl = "{server.url("/hook/s3cr3t")}"\nallow_hosts = [{host}]\n')
        server.posts["/hook/s3cr3t"] = self._take

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.sent.append((headers, handler.rfile.read(int(headers["content-length"]))))
        handler.send_response(next(self._statuses))
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_module.time, "sleep", lambda _: None)


def test_a_webhook_is_signed_as_its_receivers_verify_it(shop: Shop, server: Server) -> None:
    hook = Hook(server, shop, 204)
    assert shop.night(20, context=context(f"{OTHER} {SECRET}")).problems == ()
    [(headers, body)] = hook.sent
    event = Receiver(SECRET).verify(body, headers)
    Receiver(OTHER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Receiver(SECRET).verify(body + b" ", headers)
    assert (event["type"], event["data"]["night"], event["data"]["exit_code"]) == ("night.finished", "2026-11-20", 0)
    assert (event["data"]["rows"]["succeeded"], event["data"]["published"]["added"]) == (4, 4)
    assert shop.base not in body.decode(), "no place is told to others"


def test_a_webhook_is_tried_three_times_with_one_id(shop: Shop, server: Server) -> None:
    hook = Hook(server, shop, 500, 503, 200)
    assert shop.night(20, context=context()).problems == ()
    assert len({headers["webhook-id"] for headers, _ in hook.sent}) == 1 and len(hook.sent) == 3


def test_a_webhook_that_nobody_takes_is_told_and_ends_no_good_night(shop: Shop, server: Server) -> None:
    hook = Hook(server, shop, 500, 500, 500)
    report = shop.night(20, context=context())
    where = f"http://127.0.0.1:{server.port}"
    assert (report.exit_code, len(hook.sent)) == (0, 3)
    assert report.problems == (f"The webhook was not taken in 3 attempts: {where} answers with status 500.",)
    assert "s3cr3t" not in report.problems[0], "at some services a webhook's path is its secret"


def test_a_receiver_that_is_gone_is_asked_once(shop: Shop, server: Server) -> None:
    hook = Hook(server, shop, 410)
    assert "wanted no more" in shop.night(20, context=context()).problems[0] and len(hook.sent) == 1


def test_a_private_address_is_not_called_unless_it_is_allowed(shop: Shop, server: Server) -> None:
    hook = Hook(server, shop, 204, allowed=False)
    shop.rewrite(shop.store.get("night.toml").decode().replace("http://", "https://"))
    assert "private or special network address" in shop.night(20, context=context()).problems[0]
    assert hook.sent == []


@pytest.mark.parametrize("secret", ["", "geheim", "whsec_" + base64.b64encode(b"short").decode(), f"{SECRET} x"])
def test_without_a_right_secret_a_night_with_a_webhook_does_not_begin(secret: str, shop: Shop, server: Server) -> None:
    Hook(server, shop, 204)
    with pytest.raises(JobError, match="PRESSRUN_WEBHOOK_SECRET") as refused:
        shop.night(20, context=context(secret))
    assert refused.value.codes == ["environment"] and "geheim" not in str(refused.value)
    assert shop.at("nights/2026-11-20").head("job.json") is None


def test_the_secret_is_read_from_the_environment_and_never_shown() -> None:
    found = Context.of({"PRESSRUN_WEBHOOK_SECRET": SECRET})
    assert keys_of(found.webhook_secret) == [b"a secret of thirty-two bytes, eh"] and SECRET not in repr(found)


def test_a_command_that_fails_at_the_end_changes_no_exit_code(shop: Shop) -> None:
    shop.rewrite(f'{FILE}[hooks]\non_finish = "cat > {shop.base}/told.json; exit 5"\n')
    report = shop.night(20)
    assert report.exit_code == 0 and report.problems[0].endswith("ended with 5.")
    told = json.loads(shop.store.get("told.json"))
    assert told == json.loads(json.dumps(report.to_dict() | {"problems": []}, default=str))

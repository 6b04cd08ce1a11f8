"""Decoding in a process that may die: what kills it costs one picture, and nothing of ours is in it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

from pressrun.cluster.net.fetch_rules import HEADERS
from pressrun.cluster.references.decoder_pool import Decoder, Decoders
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference
from pressrun.pipeline.references.worker import ANSWER, PIXELS, REFUSAL
from tests.picture_files import animated_webp, claiming, encoded, png, random_picture, scan_bomb

CAP = 1024 * 1024
GOOD = encoded(random_picture(100, 80))
BOMB = scan_bomb()


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


def refused(decoder: Decoder, data: bytes) -> RequestError:
    with pytest.raises(RequestError) as refusal:
        decoder.decode(data, CAP)
    message = refusal.value.message
    assert message.startswith("The reference picture") and message.endswith(".") and message.isprintable()
    return refusal.value


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_pixels_are_those_of_decoding_here_and_the_process_is_kept(decoder: Decoder) -> None:
    expected = np.asarray(decode_reference(GOOD, Model("any", "flux2", reference_pixels=CAP)))
    assert np.array_equal(decoder.decode(GOOD, CAP), expected)
    pid = decoder.pid
    assert decoder.decode(GOOD, 64 * 64).shape[0] < 64
    assert refused(decoder, b"%!PS-Adobe").code == "reference_unreadable"
    assert refused(decoder, claiming(60_000)).code == "reference_too_large"
    assert refused(decoder, encoded(Image.new("RGB", (63, 200)))).code == "reference_unsuitable"
    assert decoder.decode(animated_webp(100_000), CAP).shape == (64, 64, 3)
    assert decoder.pid == pid


def test_a_picture_that_crashes_its_decoder_is_refused_and_the_next_is_decoded(decoder: Decoder) -> None:
    errors: list[RequestError] = []
    thread = threading.Thread(target=lambda: errors.append(refused(decoder, BOMB)))
    thread.start()
    wait_until(lambda: decoder.pid)
    assert decoder.pid
    os.kill(decoder.pid, signal.SIGSEGV)
    thread.join(60)
    assert errors[0].code == "reference_unreadable" and "SIGSEGV" in errors[0].message
    assert decoder.decode(GOOD, CAP).shape == (80, 96, 3)


def test_a_picture_is_not_blamed_for_a_decoder_that_an_earlier_one_has_broken(decoder: Decoder) -> None:
    decoder.decode(GOOD, CAP)
    assert decoder.pid
    os.kill(decoder.pid, signal.SIGKILL)
    assert decoder.decode(GOOD, CAP).shape == (80, 96, 3)


def test_a_picture_that_takes_too_long_is_given_up() -> None:
    decoder = Decoder(seconds=2.0)
    try:
        error = refused(decoder, BOMB)
        assert error.code == "reference_timeout" and "2 s" in error.message
        assert decoder.decode(GOOD, CAP).shape == (80, 96, 3)
    finally:
        decoder.close()


def test_a_picture_that_takes_too_much_memory_is_refused() -> None:
    decoder = Decoder(memory_bytes=256 << 20)
    try:
        large = png(7000, 7000, 1, 0, bytes(875) * 7000)
        assert refused(decoder, large).code == "reference_too_large"
        assert decoder.decode(GOOD, CAP).shape == (80, 96, 3)
    finally:
        decoder.close()


def test_a_decoder_knows_no_secret_and_may_do_little(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN", HEADERS, "HF_TOKEN"):
        monkeypatch.setenv(name, "hunter2")
    decoder.decode(GOOD, CAP)
    process = psutil.Process(decoder.pid)
    assert "hunter2" not in json.dumps(process.environ()) + " ".join(process.cmdline())
    for limit in (psutil.RLIMIT_CORE, psutil.RLIMIT_FSIZE, psutil.RLIMIT_NPROC):
        assert process.rlimit(limit) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_AS)[1] == 2 << 30
    libraries = " ".join(library.path for library in process.memory_maps())
    assert "libtorch" not in libraries and "_raylet" not in libraries


@pytest.mark.parametrize("doing", ["nothing", "a picture"])
def test_a_decoder_ends_with_whoever_started_it_even_by_kill(doing: str) -> None:
    program = """
import sys, threading, time
from pressrun.cluster.references.decoder_pool import Decoder
from tests.cluster.references.test_decoder_pool import BOMB, CAP, GOOD
decoder = Decoder(seconds=2.0)
decoder.decode(GOOD, CAP)
if sys.argv[1] == "a picture":
    threading.Thread(target=decoder.decode, args=(BOMB, CAP), daemon=True).start()
    time.sleep(0.3)
print(decoder.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program, doing], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


CONTROLS = json.dumps({"code": "reference_unreadable", "message": "\x1b[2J"}).encode()
LIES = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"Traceback (most recent call last)", id="words"),
    pytest.param(ANSWER.pack(7, 0, 0, 0), id="an unknown kind"),
    pytest.param(ANSWER.pack(PIXELS, 0, 0, 0), id="no pixels"),
    pytest.param(ANSWER.pack(PIXELS, 16, 16, 700) + bytes(700), id="pixels that do not add up"),
    pytest.param(ANSWER.pack(PIXELS, 17, 16, 816) + bytes(816), id="half a token"),
    pytest.param(ANSWER.pack(PIXELS, 65536, 65536, 2**32 - 1), id="more than the cap"),
    pytest.param(ANSWER.pack(PIXELS, 16, 16, 768) + bytes(5), id="cut off"),
    pytest.param(ANSWER.pack(REFUSAL, 0, 0, 2**32 - 1), id="a refusal without end"),
    pytest.param(ANSWER.pack(REFUSAL, 0, 0, 4) + b"\xff\xfe{}", id="no JSON"),
    pytest.param(ANSWER.pack(REFUSAL, 0, 0, 2) + b"[]", id="a list"),
    pytest.param(ANSWER.pack(REFUSAL, 0, 0, 33) + b'{"code": "worker", "message": ""}', id="an unknown code"),
    pytest.param(ANSWER.pack(REFUSAL, 0, 0, len(CONTROLS)) + CONTROLS, id="control characters"),
]


@pytest.mark.parametrize("lie", LIES)
def test_what_a_decoder_says_is_not_believed(lie: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: Decoder) -> subprocess.Popen[bytes]:
        program = f"import sys; sys.stdin.buffer.read(40); sys.stdout.buffer.write({lie!r})"
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-S", "-c", program], bufsize=0, stdin=pipe, stdout=pipe)
        return self._process

    monkeypatch.setattr(Decoder, "_start", start)
    decoder = Decoder()
    error = refused(decoder, GOOD)
    assert error.code == "reference_unreadable" and "ends its decoder" in error.message
    assert decoder.pid is None


def test_several_decoders_serve_many_threads_and_end_together() -> None:
    with Decoders(2) as decoders:
        shapes: list[tuple[int, ...]] = []
        threads = [threading.Thread(target=lambda: shapes.append(decoders.decode(GOOD, CAP).shape)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        children = [
            child
            for child in psutil.Process().children()
            if child.status() != psutil.STATUS_ZOMBIE
            and "pressrun.pipeline.references.worker" in " ".join(child.cmdline())
        ]
        assert shapes == [(80, 96, 3)] * 8
        assert 1 <= len(children) <= 2
    assert not any(child.is_running() for child in children)

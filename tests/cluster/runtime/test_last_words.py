"""What a worker's process said last is told from the stack, and from what Ray writes beside it."""

from pathlib import Path

import pytest

from pressrun.cluster.runtime.last_words import said_in

RAY = ":job_id:01000000\n:actor_name:ModelActor\n"
SIGNAL = """*** SIGABRT received at time=1795978849 on cpu 1 ***
PC: @     0x7f04180a8eec  (unknown)  (unknown)
[2026-11-29 19:00:49,965 E 2550 2550] logging.cc:474: *** SIGABRT received at time=1795978849 on cpu 1 ***
Fatal Python error: Aborted

Stack (most recent call first):
  File "/srv/top/torch/__init__.py", line 1 in <module>

Extension modules: msgpack._cmsgpack, ray._raylet (total: 2)
"""
SITE = """Fatal Python error: init_import_site: Failed to import the site module
Python runtime state: initialized
Traceback (most recent call last):
  File "<frozen site>", line 616, in <module>
OSError: [Errno 28] No space left on device: '/srv/top/x'
"""
SEGFAULT = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n  File 1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(RAY, "", id="nothing"),
        pytest.param(f"{RAY}a\nlibfoo.so: undefined symbol\n{SIGNAL}", "libfoo.so: undefined symbol", id="native code"),
        pytest.param(f"{RAY}{SIGNAL}", "Aborted", id="a signal alone"),
        pytest.param(SEGFAULT, "Segmentation fault", id="a fault alone"),
        pytest.param(SITE, "OSError: [Errno 28] No space left on device: '…/x'", id="an exception"),
        pytest.param("cannot ask https://h/a?X-Amz-Signature=5ec7e7", "cannot ask https://h/a?…", id="a secret"),
    ],
)
def test_the_last_words(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "worker.err").write_text(text)
    assert said_in(tmp_path / "worker.err") == words


def test_who_has_left_no_file_said_nothing(tmp_path: Path) -> None:
    assert said_in(tmp_path / "none") == ""

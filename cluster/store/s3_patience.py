"""Calls of S3 that are made again as long as that can help."""

import itertools
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pressrun.cluster.store.s3_errors import FOREIGN, Conflict, Trouble, stumbled
from pressrun.pipeline.errors import StorageError

_LONGEST_WAIT_SEC = 8.0

T = TypeVar("T")


def asked(call: Callable[[], T], explained: Callable[[Exception], Exception], patience_sec: float) -> T:
    """A call's answer; made again while patience lasts if what `explained` makes of its error may pass.

    Raises StorageError once patience is used up, and whatever else `explained` gives at once.
    """
    started = time.monotonic()
    for attempt in itertools.count():
        try:
            return call()
        except Exception as error:
            if not isinstance(error, FOREIGN) and not stumbled(error):
                raise
            failure = explained(error)
        wait_sec = random.uniform(0.5, 1.0) * min(_LONGEST_WAIT_SEC, 0.25 * 2**attempt)
        if not isinstance(failure, Trouble | Conflict):
            raise failure
        if time.monotonic() - started + wait_sec > patience_sec:
            raise StorageError(str(failure))
        time.sleep(wait_sec)
    raise AssertionError("unreachable")

"""A process that ends at a write, as it were: the same in every test of what is whole at any moment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.s3_store import S3Store

WRITES: Mapping[type, Sequence[str]] = {
    FolderStore: ("put", "create", "delete", "copy", "_adopt"),
    S3Store: ("put", "create", "delete", "copy"),
}


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def killing(monkeypatch: pytest.MonkeyPatch, writes: Mapping[type, Sequence[str]] = WRITES) -> Callable[[int], None]:
    """What sets before which write from now on `Killed` comes: 0 is the next one, -1 none.

    A lease does not say that it is still held: when it would is a matter of time, and of a thread that is to end.
    """
    left = [-1]

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **named)

        return write

    for kind, names in writes.items():
        for name in names:
            monkeypatch.setattr(kind, name, counting(getattr(kind, name)))
    monkeypatch.setattr(Lease, "_keep", lambda self: None)

    def set_number(number: int) -> None:
        left[0] = number

    return set_number

"""Everybody else in a world of random schedules: who puts, replaces, removes and links what is no business of
Pressrun's, anywhere and at any moment."""

from typing import Any

from tests.jobs.ledger import Frame, Ledger
from tests.jobs.worlds import BucketWorld, FolderWorld

NAMES = (
    *("notes.txt", "logo.svg", "s0.png", "s1.png", "S0.PNG", "M\u00fctze%2050%25.png", "Mu\u0308tze%2050%25.png"),
    *("100%.png", ".hidden", " a b .jpg", "new\nline.txt", "deep/er/x.png", "s2.png", "s0@hero.webp"),
)
ODD_KEYS = (
    "nights//x.png",
    "{night}//y.png",
    "www/images//s0.png",
    "www/images/folder/",
    "{night}/",
    "{night}/images/",
)


class Strangers:
    """They act on a world, and tell the ledger before they do."""

    def __init__(self, world: FolderWorld | BucketWorld, ledger: Ledger) -> None:
        self._world, self._ledger = world, ledger
        self._acts = 0

    def act(self, what: int, which: int, where: int, more: int, frames: list[Frame]) -> str | None:
        """Do something; what it was in words, None where there is nothing to do it to."""
        ledger, world = self._ledger, self._world
        deeds = (
            "put",
            "put",
            "replace",
            "remove",
            "replace ours",
            "remove ours",
            "link",
            "link",
            "hard link",
            "spoil",
            "odd",
        )
        deed = deeds[what % len(deeds)]
        if deed == "put":
            path = f"{self._folder(where, more)}/{NAMES[which % len(NAMES)]}"
            return self._put(path, frames) if world.can_hold(path) else None
        if deed == "link":
            return self.link(which, where, more, 0, frames)
        if deed == "hard link":
            return self._hard_link(which, where, frames) if isinstance(world, FolderWorld) else None
        if deed == "odd":
            night = _picked(sorted(ledger.jobs), where) or "nights/2026-11-18"
            path = ODD_KEYS[which % len(ODD_KEYS)].format(night=night)
            return self._put(path, frames) if isinstance(world, BucketWorld) and world.odd_keys else None
        some = {"ours": ledger.ours, "spoil": ledger.pictures}.get(deed.split()[-1], ledger.theirs)
        path = _picked(sorted(one for one, data in some.items() if isinstance(data, bytes) or deed == "remove"), which)
        if path is None:
            return None
        if deed.startswith("replace") or (deed == "spoil" and where % 2):
            return self._put(path, frames)
        ledger.owner_does(path, None, frames)
        world.remove(path)
        return f"removes {path}"

    def _folder(self, where: int, more: int) -> str:
        night = _picked(sorted(self._ledger.jobs), more) or "nights/2026-11-18"
        folders = (
            *("www/images", "www/images", "www/images", "shop", "www", "nights", "nights/2026-11-17", "other"),
            *(
                night,
                f"{night}/images",
                f"{night}/results",
                f"{night}/thumbs",
                f"{night}/pixels",
                "www/images.pressrun",
            ),
        )
        return folders[where % len(folders)]

    def _put(self, path: str, frames: list[Frame]) -> str:
        self._acts += 1
        data = b"somebody's no. %d" % self._acts + b"." * 7 * self._acts  # no two of one size
        self._ledger.owner_does(path, data, frames)
        self._world.put(path, data)
        return f"puts {path!r}"

    def link(self, which: int, where: int, _: int, __: int, frames: list[Frame]) -> str | None:
        """Make a symbolic link; what it was in words, None where that cannot be."""
        if not isinstance(self._world, FolderWorld):
            return None
        night = _picked([job for job in sorted(self._ledger.jobs) if self._world.read(f"{job}/job.json")], where)
        ways = (
            *(("nights/2026-11-01", night), ("nights/20261225", night), ("nights/2026-11-02", "dam")),
            *((f"{night}/dam", "dam"), (f"{night}/images/more", "dam"), (f"{night}/back", "nights")),
            *(
                ("www/leak", f"{night}/images"),
                ("cdn", "www"),
                ("www/images/more", "dam"),
                ("shop/s1.png", "dam/a.png"),
            ),
        )
        path, to = ways[which % len(ways)]
        if night is None or to is None or not self._world.can_hold(path):
            return None
        for name in ("dam/a.png", "dam/s0.png"):
            if self._world.can_hold(name):
                self._put(name, frames)
        self._world.link(path, to)
        self._ledger.owner_does(path, self._world.read(path), frames)
        return f"links {path} to {to}"

    def _hard_link(self, which: int, where: int, frames: list[Frame]) -> str | None:
        assert isinstance(self._world, FolderWorld)
        to = _picked(sorted([*self._ledger.pictures, *self._ledger.ours]), which)
        path = ("dam/copy.png", "www/images/copy.png", "shop/copy.png", "nights/copy.png")[where % 4]
        if to is None or not self._world.can_hold(path):
            return None
        self._world.hard_link(path, to)
        self._ledger.owner_does(path, self._world.read(path), frames)
        return f"hard-links {path} to {to}"


def _picked(some: list[str], number: int) -> Any:
    return some[number % len(some)] if some else None

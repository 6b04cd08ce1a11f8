"""Worlds for the random schedules: everything that stands under one folder or one bucket, customers' things and ours.

A world's paths are relative and real: what several names lead to through links has one path. Whoever owns the rest of
a world changes it through `put`, `remove` and the links; what those do is none of Pressrun's doing.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Link = tuple[str, str]
"""("link", where it leads): what a symbolic link is in a snapshot."""


class FolderWorld:
    """A folder, made anew; `uri` is its path."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.uri = os.path.realpath(folder)

    def real(self, path: str) -> str | None:
        """The real path of what `path` names (its last part not followed), None if that is outside."""
        head, _, name = path.rpartition("/")
        found = os.path.relpath(f"{os.path.realpath(f'{self.uri}/{head}')}/{name}", self.uri)
        return None if found.startswith("..") else found

    def read(self, path: str) -> bytes | Link | None:
        full = Path(self.uri, path)
        if full.is_symlink():
            return "link", str(full.readlink())
        return full.read_bytes() if full.is_file() else None

    def snapshot(self) -> dict[str, bytes | Link]:
        """Everything that stands there; no link is followed, folders are no things."""
        found: dict[str, bytes | Link] = {}
        folders = [""]
        while folders:
            start = folders.pop()
            with os.scandir(f"{self.uri}/{start}") as children:
                for child in children:
                    path = start + child.name
                    if child.is_symlink():
                        found[path] = "link", str(Path(child.path).readlink())
                    elif child.is_dir():
                        folders.append(f"{path}/")
                    else:
                        with open(child.path, "rb") as file:  # noqa: PTH123 (of thousands)
                            found[path] = file.read()
        return found

    def files(self, start: str) -> Iterator[tuple[str, bytes]]:
        """The files directly in a folder, whose path ends with a slash."""
        folder = Path(self.uri, start)
        for child in sorted(folder.iterdir()) if folder.is_dir() else ():
            if child.is_file():
                yield start + child.name, child.read_bytes()

    def put(self, path: str, data: bytes) -> None:
        """Write or replace a file as a careful program does: at once."""
        full = Path(self.uri, path)
        full.parent.mkdir(parents=True, exist_ok=True)
        made = full.with_name(f".{len(data)}.new")
        made.write_bytes(data)
        made.replace(full)

    def remove(self, path: str) -> None:
        Path(self.uri, path).unlink()

    def link(self, path: str, to: str) -> None:
        full = Path(self.uri, path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.symlink_to(os.path.relpath(f"{self.uri}/{to}", full.parent))

    def hard_link(self, path: str, to: str) -> None:
        full = Path(self.uri, path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.hardlink_to(Path(self.uri, to))

    def can_hold(self, path: str) -> bool:
        """Whether a new thing can be put there: nothing stands there, and no file or link is in the way."""
        full = Path(self.uri, path)
        ways = [full, *full.parents][: path.count("/") + 1]
        return not any(way.is_symlink() or (way.is_file() or (way is full and way.exists())) for way in ways)


class BucketWorld:
    """Everything under a prefix of a bucket, asked through boto3's client or what stands for it. With `odd_keys` it
    can have keys with empty parts, as S3 can and SeaweedFS cannot."""

    def __init__(self, client: Any, bucket: str, prefix: str, odd_keys: bool = True) -> None:
        self.odd_keys = odd_keys
        self.uri = f"s3://{bucket}/{prefix}"
        self._client, self._bucket, self._prefix = client, bucket, f"{prefix}/"
        self._known: dict[tuple[str, str], bytes] = {}

    def real(self, path: str) -> str | None:
        return path

    def read(self, path: str) -> bytes | None:
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
        except self._errors():
            return None
        return bytes(found["Body"].read())

    def snapshot(self, start: str = "") -> dict[str, bytes | Link]:
        found: dict[str, bytes | Link] = {}
        more: dict[str, Any] = {"MaxKeys": 1000}
        while more:
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + start, **more)
            for entry in page.get("Contents", ()):
                key = entry["Key"], entry["ETag"]
                path = entry["Key"].removeprefix(self._prefix)
                if key not in self._known and (data := self.read(path)) is not None:
                    self._known[key] = data
                found[path] = self._known[key]
            token = page.get("NextContinuationToken")
            more = {"ContinuationToken": token} if token else {}
        return found

    def files(self, start: str) -> Iterator[tuple[str, bytes]]:
        for path, data in self.snapshot(start).items():
            if "/" not in path[len(start) :] and isinstance(data, bytes):
                yield path, data

    def put(self, path: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=data)

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + path)

    def can_hold(self, path: str) -> bool:
        return self.read(path) is None

    def _errors(self) -> Any:
        from botocore.exceptions import ClientError

        return ClientError

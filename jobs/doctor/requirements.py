"""What the installed wheel asks for, compared with what is installed; and the very versions, for other machines."""

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = "pressrun"


def installed() -> dict[str, str]:
    """The version of Python, of Pressrun, and of everything that it needs here, by name."""
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {
        name: found for name in sorted(_closure()) if (found := _version(name))
    }


def problems() -> Iterator[str]:
    """What Pressrun asks for itself and does not have, a sentence each."""
    for wanted in _wanted(PRODUCT, frozenset()):
        found = _version(wanted.name)
        if not found:
            yield f"{wanted.name} is not installed"
        elif not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} is {found}, and Pressrun wants {wanted.specifier}"


def extras() -> dict[str, list[str]]:
    """Pressrun's extras, each with what it lacks here."""
    lacking: dict[str, list[str]] = {}
    for line in requires(PRODUCT) or ():
        wanted = Requirement(line)
        for extra in ("copy", "ocr", "sign", "quantised", "xlsx"):
            if wanted.marker and "extra" in str(wanted.marker) and wanted.marker.evaluate({"extra": extra}):
                lacking.setdefault(extra, [])
                if not _version(wanted.name):
                    lacking[extra].append(wanted.name)
    return lacking


def constraints() -> str:
    """The lines of a constraints file with which pip installs elsewhere what is installed here."""
    return "".join(f"{name}=={found}\n" for name, found in installed().items() if name not in ("python", PRODUCT))


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What two machines have in different versions, or one of them not; Python's last number aside."""

    def told(name: str, found: str | None) -> str | None:
        return found.rpartition(".")[0] if name == "python" and found else found

    return [
        f"{name} {there.get(name) or 'is missing'} (here {here.get(name) or 'none'})"
        for name in sorted({*here, *there} - {PRODUCT})
        if told(name, here.get(name)) != told(name, there.get(name))
    ]


def _closure() -> set[str]:
    found: set[str] = set()
    waiting = [(PRODUCT, frozenset[str]())]
    while waiting:
        name, asked = waiting.pop()
        for wanted in _wanted(name, asked):
            plain = canonicalize_name(wanted.name)
            if plain not in found and _version(plain):
                found.add(plain)
                waiting.append((plain, frozenset(wanted.extras)))
    return {PRODUCT, *found}


def _wanted(name: str, asked: frozenset[str]) -> Iterator[Requirement]:
    """What an installed package asks for on this machine, with these of its extras."""
    try:
        lines = requires(name) or ()
    except PackageNotFoundError:
        return
    for line in lines:
        wanted = Requirement(line)
        if not wanted.marker or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *asked)):
            yield wanted


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

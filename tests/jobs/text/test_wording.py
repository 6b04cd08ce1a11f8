"""Values in messages: on one line, with every sign that can be shown, and with those that join others."""

import pytest

from pressrun.jobs.cli.commands.inspect import _words
from pressrun.jobs.reports.inspection import Inspection
from pressrun.jobs.text.wording import shortened

FAMILY, FIRE, PERSIAN = "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f\u200d\U0001f525", "می\u200cخواهم"


@pytest.mark.parametrize("text", [FAMILY, FIRE, PERSIAN, f"{FAMILY} and {FIRE}"])
def test_joiners_between_signs_are_kept(text: str) -> None:
    assert shortened(text) == text


@pytest.mark.parametrize(
    "text", ["a\u200d", "\u200da", "a \u200d b", "a\u200d\u200db", "a\u200eb", "a\u200d\u202eb", "a\nb"]
)
def test_what_joins_nothing_is_replaced_as_all_that_cannot_be_shown(text: str) -> None:
    said = shortened(text)
    assert "�" in said and said.replace("\u200d", "").isprintable()


def test_inspect_shows_what_is_joined_and_drops_what_joins_nothing() -> None:
    says = {"dc:title": f"{FAMILY}\u200b at {PERSIAN} \u200d\u200e!"}
    found = Inspection(file="a.png", format="png", width=1, height=1, bytes=1, sha256="", says=says, ours=True)
    assert f"{FAMILY} at {PERSIAN} !" in "\n".join(_words(found))

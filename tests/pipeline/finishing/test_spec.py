"""The finishing spec: everything that is wrong with it at once, and a digest that moves only when a picture would."""

from dataclasses import replace

import pytest

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.renditions import Rendition
from pressrun.pipeline.finishing.spec import FinishingSpec, finish_key, read_finishing_spec

HERO = """
quality = 90
[[renditions]]
name = "hero"
width = 1920
height = 1080
format = "webp"
quality = 80
"""


def read(text: str, format: str = "jpeg") -> FinishingSpec:
    return read_finishing_spec(text, format, "finish.toml")


def test_a_spec_is_read_into_its_parts() -> None:
    hero = Rendition("hero", 1920, 1080, "crop", "webp", 80)
    assert read(HERO) == FinishingSpec("jpeg", 90, (hero,))


def test_an_empty_spec_is_no_spec() -> None:
    assert read("", "png").digest == FinishingSpec("png").digest


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("quality = ", ["finish.toml is not TOML"], id="no TOML"),
        pytest.param(
            'qualty = 3\n[[renditions]]\nname = "Hero!"\nwidth = 0\nfit = "fill"\nformat = "png"\nquality = 3',
            [
                "“width” is 0; give a whole number",
                "“Hero!” must be up to 32",
                "“fit” is 'fill'; give one of crop, pad, inside",
                "“height” is missing",
                "png is lossless",
                "no field “qualty”; did you mean “quality”?",
            ],
            id="everything at once",
        ),
        pytest.param("quality = 0", ["“quality” is 0; give a whole number from 1 to 100"], id="out of range"),
        pytest.param("renditions = 3", ["“renditions” is 3; give tables [[renditions]]"], id="another kind"),
        pytest.param(
            '[[renditions]]\nname = "a"\nwidth = 1\nheight = 1\nfit = "pad"\nanchor = "top"\n'
            '[[renditions]]\nname = "a"\nwidth = 1\nheight = 1\nbackground = "red"',
            ["several renditions are called “a”", "“anchor” says what a crop keeps", "“background” fills", "#rrggbb"],
            id="parts that do not go together",
        ),
    ],
)
def test_whatever_is_wrong_is_told_at_once(text: str, problems: list[str]) -> None:
    with pytest.raises(JobError) as refused:
        read(text)
    assert len(refused.value.problems) == len(problems), refused.value.problems
    for problem in problems:
        assert any(problem in said for said in refused.value.problems), (problem, refused.value.problems)


def test_a_key_moves_with_everything_that_decides_the_bytes_and_with_nothing_else() -> None:
    spec = read(HERO)
    others = [replace(spec, quality=91), replace(spec, format="avif"), replace(spec, renditions=())]
    assert len({each.digest for each in (spec, *others)}) == 4
    assert finish_key(spec.digest, {}) != finish_key(spec.digest, {"creator": "Ada"})
    assert read(HERO + 'fit = "crop"').digest == spec.digest  # the default, said aloud

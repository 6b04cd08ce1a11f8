"""Policy: which prompts hold a word that they must not."""

import pyarrow as pa
import pytest

from pressrun.jobs.finish.prompt_policy import Policy, words_of
from pressrun.pipeline.checks.spec import CheckSpec

WORDS = "# barred since May\nart\nhard  liquor\n\ngröße\nc++\nart\n"


def hits(*prompts: str, action: str = "flag") -> list[str]:
    policy = Policy(CheckSpec("policy", action, 1.0, option="words.txt", words=WORDS), pa.array(prompts))
    return [policy.finding(row).message for row in range(len(prompts))]


def test_a_file_is_read_a_word_or_phrase_a_line() -> None:
    assert words_of(WORDS) == ("art", "hard liquor", "größe", "c++")


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("some ART, please", "art"),
        ("Hard\nLiquor!", "hard liquor"),
        ("in GRÖSSE und Größe", "größe"),
        ("written in c++", "c++"),
    ],
)
def test_a_barred_word_is_found_in_any_case_and_named(prompt: str, word: str) -> None:
    [message] = hits(prompt)
    assert f"“{word}”" in message and "words.txt" in message


@pytest.mark.parametrize("prompt", ["a cart", "artful", "hard-liquor", "art_3", "mitgröße"])
def test_a_part_of_another_word_is_not_the_word(prompt: str) -> None:
    assert hits(prompt) == [""]


def test_only_a_policy_that_rejects_keeps_rows_from_being_rendered() -> None:
    for action, rejected in (("flag", [False, False]), ("reject", [True, False])):
        policy = Policy(CheckSpec("policy", action, 1.0, words=WORDS), pa.array(["art", "mug"]))
        assert policy.rejected.tolist() == rejected

"""Names of pictures: safe on every file system and in every URL, one for each row."""

import unicodedata
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.pipeline.errors import JobError


def named(template: str, extension: str = "png", **columns) -> list[str | None]:
    names, _ = NameTemplate.parse(template).names(pa.table(columns), extension)
    return names.to_pylist()


def refusal(template: str, **columns) -> str:
    with pytest.raises(JobError) as refused:
        NameTemplate.parse(template).names(pa.table(columns or {"sku": ["a"]}), "png")
    return str(refused.value)


def test_a_template_makes_folders_and_joins_columns():
    assert named("{sku}/{season}-{width}x{height}", sku=["a"], season=["spring"], width=[512], height=[768]) == [
        "a/spring-512x768.png"
    ]


def test_the_default_is_the_custom_id():
    names, bad = NameTemplate.parse().names(pa.table({"custom_id": ["a", "b"]}), ".webp")
    assert names.to_pylist() == ["a.webp", "b.webp"] and bad.num_rows == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Agentur Nord", "Agentur Nord"),
        ("Müller & Söhne (Köln), 50%", "Müller & Söhne (Köln), 50%"),
        ("../../etc/passwd", "%2E%2E%2F..%2Fetc%2Fpasswd"),
        ('what: "why"?', "what%3A %22why%22%3F"),
        ("C:\\temp", "C%3A%5Ctemp"),
        (" blanks. ", "%20blanks%2E%20"),
        ("a\nb", "a%0Ab"),
    ],
)
def test_a_name_for_people_keeps_what_a_file_system_takes(value: str, expected: str) -> None:
    names, _ = NameTemplate.parse("{agency}/{agency} x", plain=True).names(pa.table({"agency": [value]}), "png")
    assert names.to_pylist() == [f"{expected}/{expected} x.png"]


ENCODED = [
    pytest.param("a/b", "a%2Fb", id="slash"),
    pytest.param("a\\b", "a%5Cb", id="backslash"),
    pytest.param("../../x", "%2E%2E%2F..%2Fx", id="way out"),
    pytest.param("..", "%2E%2E", id="parent"),
    pytest.param("/etc/passwd", "%2Fetc%2Fpasswd", id="absolute"),
    pytest.param(".hidden", "%2Ehidden", id="leading dot"),
    pytest.param("end.", "end%2E", id="trailing dot"),
    pytest.param(" a b ", "%20a%20b%20", id="spaces"),
    pytest.param("100%", "100%25", id="percent"),
    pytest.param('<:"|?*>', "%3C%3A%22%7C%3F%2A%3E", id="reserved by Windows"),
    pytest.param("a#b&c=d+e", "a%23b%26c%3Dd%2Be", id="reserved in URLs"),
    pytest.param("a\0b", "a%00b", id="NUL"),
    pytest.param("a\nb", "a%0Ab", id="line break"),
    pytest.param("a\u202eb", "a%E2%80%AEb", id="bidi override"),
    pytest.param("e\u0301", "é", id="NFC"),
    pytest.param("Größe", "Größe", id="umlauts"),
    pytest.param("क्षि", "क्षि", id="Devanagari with marks"),
    pytest.param("杯子٣", "杯子٣", id="Han and Arabic digits"),
    pytest.param("😀", "%F0%9F%98%80", id="emoji"),
    pytest.param("v1.2-a_b~c", "v1.2-a_b~c", id="unreserved"),
]


@pytest.mark.parametrize(("value", "expected"), ENCODED)
def test_a_value_is_encoded(value, expected):
    assert named("{sku}", sku=[value]) == [f"{expected}.png"]


@pytest.mark.parametrize(
    ("template", "columns", "words"),
    [
        pytest.param("{a}/{b}", {"a": ["x"], "b": [None]}, "“b”, which the name needs, is empty", id="null"),
        pytest.param("{a}/{b}", {"a": [""], "b": ["x"]}, "empty part", id="empty folder"),
        pytest.param("{a}/x", {"a": [""]}, "empty part", id="absolute"),
        pytest.param("{a}.{b}/x", {"a": [""], "b": [""]}, "“.” or “..”", id="this folder"),
        pytest.param("{a}..{b}/x", {"a": [""], "b": [""]}, "“.” or “..”", id="parent folder"),
        pytest.param("{a}", {"a": ["x" * 247]}, "longer than 250 bytes", id="251 bytes in a part"),
        pytest.param("{a}", {"a": ["ü" * 124]}, "longer than 250 bytes", id="252 bytes, fewer characters"),
        pytest.param("/".join(["{a}"] * 5), {"a": ["x" * 204]}, "longer than 1,024 bytes", id="1,028 bytes"),
    ],
)
def test_a_name_that_cannot_be_fails_its_row(template, columns, words):
    fine = {name: ["good", *values] for name, values in columns.items()}
    names, bad = NameTemplate.parse(template).names(pa.table(fine), "png")
    assert names[0].is_valid and not names[1].is_valid
    [found] = bad.to_pylist()
    assert (found["row"], found["error_code"]) == (1, "bad_name")
    assert words in found["error_message"] and len(found["error_message"]) < 200


def test_names_at_the_limits_are_fine():
    assert len(named("{a}", a=["x" * 246])[0]) == 250
    assert len(named("/".join(["{a}"] * 5), a=["x" * 203])[0]) == 1023


@pytest.mark.parametrize(
    ("template", "words"),
    [
        pytest.param("{season}", "asks for “season”, but the manifest has sku", id="unknown column"),
        pytest.param("{sku", "brace without its partner", id="open brace"),
        pytest.param("sku}", "brace without its partner", id="closing brace"),
        pytest.param("{}", "never empty", id="no column in braces"),
        pytest.param("{sku!r}", "without “:” or “!”", id="conversion"),
        pytest.param("{sku:>9}", "without “:” or “!”", id="format"),
        pytest.param("picture", "names no column", id="constant"),
        pytest.param("", "names no column", id="empty"),
        pytest.param("../{sku}", "relative path", id="way out"),
        pytest.param("/{sku}", "relative path", id="absolute"),
        pytest.param("a//{sku}", "relative path", id="empty folder"),
        pytest.param("{sku}/", "relative path", id="folder only"),
        pytest.param("a\\{sku}", "relative path", id="backslash"),
    ],
)
def test_a_wrong_template_refuses_the_job(template, words):
    assert words in refusal(template)


def test_a_column_of_lists_cannot_be_part_of_a_name():
    assert "“tags” is of type list<item: string>" in refusal("{tags}", tags=[["a"]])


COLLISIONS = [
    pytest.param(["a", "b", "a"], "“a.png” in rows 1, 3", id="equal"),
    pytest.param(["Mug", "mUG"], "“Mug.png” in rows 1, 2", id="case"),
    pytest.param(["Straße", "STRASSE"], "in rows 1, 2", id="case folding"),
    pytest.param(["é", "e\u0301"], "in rows 1, 2", id="NFC"),
    pytest.param(["É", "e\u0301"], "in rows 1, 2", id="case and NFC"),
    pytest.param(["ΣΑΣ", "σας"], "in rows 1, 2", id="final sigma"),
]


@pytest.mark.parametrize(("values", "words"), COLLISIONS)
def test_two_rows_with_one_name_refuse_the_job(values, words):
    assert words in refusal("{sku}", sku=values)


def test_the_first_twenty_collisions_are_listed():
    message = refusal("{sku}", sku=[f"n{i // 2:02}" for i in range(60)])
    assert "“n19.png” in rows 39, 40 and 10 more" in message and "n20" not in message


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.sampled_from(["{v}", "{v}/{n}", "x{v}-{n}"]))
def test_any_text_makes_a_safe_name_or_a_sentence(values, template):
    table = pa.table({"v": pa.array(values, pa.string()), "n": list(range(len(values)))})
    try:
        names, bad = NameTemplate.parse(template).names(table, "png")
    except JobError as refused:
        assert all(problem.endswith(".") for problem in refused.problems)
        return
    assert names.null_count == bad.num_rows
    made = names.drop_null().to_pylist()
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in made}) == len(made)
    for name in made:
        assert all(part.strip(".") and not part.endswith(".") for part in name.split("/"))
        assert unicodedata.is_normalized("NFC", name) and len(name.encode()) <= 1024
        assert quote(name, safe="%/~") == quote(name, safe="/:~").replace("%25", "%")
        # "Cn": a letter so young that this Python's Unicode tables do not have it yet, and pyarrow's do.
        assert not any(unicodedata.category(sign)[0] in "CZ" and unicodedata.category(sign) != "Cn" for sign in name)

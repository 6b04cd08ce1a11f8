"""Tables as Excel saves them as “CSV” in Western Europe: in Windows-1252, recognised by what its letters do.

One byte means another letter in each of Windows' encodings, and nothing in the file says which it is. Of a Western
European text most letters are ASCII, and its other letters stand among them; a text in Cyrillic, Greek or Hebrew has
words of nothing but others, one from DOS has signs in the middle of words, and one from East Asia has quotes that
nobody closes and signs that nobody types. What is taken is said, with words of it.
"""

import re

_WORD = re.compile(r"[^\W\d_]{4,}")
_INSIDE = re.compile(r"[^\W\d_][^\w\s\x00-\x7f’][^\W\d_]")
"""A sign of the upper half between two letters; the apostrophe is at home there."""
_BESIDE = re.compile(r"[^\W\d_\x00-\x7f][¢¤¥¦¨ª¬¯±´¶¸º¼½¾]|[¢¤¥¦¨ª¬¯±´¶¸º¼½¾][^\W\d_\x00-\x7f]")
"""A sign for which no language has a place beside a letter that is not ASCII: two bytes of one sign in Chinese."""
_STRANGE = re.compile(r"[^\w\s\x00-\x7f€£¥¢§°²³½¼¾×÷±µ©®™–—…•·‘’“”„‚«»‹›¡¿ªº‰†]|[ˆ˜]")
_QUOTES = re.compile("[“”„]")
_MOST = 0.4
"""Of the letters in words with others, how many may be others."""
_SHOWN = 3


def decoded(content: bytes) -> tuple[bytes, list[str]] | None:
    """A file's text in UTF-8, and some words in it that are not ASCII; None where it is not Windows-1252, as far as
    anybody can tell."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    letters = "".join(words)
    others = sum(not letter.isascii() for letter in letters)
    foreign = any(not any(letter.isascii() for letter in word) for word in words)
    odd = any(pattern.search(text) for pattern in (_INSIDE, _BESIDE, _STRANGE))
    if odd or "\0" in text or foreign or others > _MOST * len(letters):
        return None
    if any(len(_QUOTES.findall(line)) % 2 for line in text.splitlines()):
        return None
    shown = words or re.findall(r"[^\s;,|\"]*[^\x00-\x7f][^\s;,|\"]*", text)
    return text.encode(), list(dict.fromkeys(shown))[:_SHOWN]

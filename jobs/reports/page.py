"""A page for people: one of our templates with data in it, safe whatever strangers' texts the data hold.

Data enter the page as JSON in which `<` cannot occur, and the page's policy runs one script only, ours. What templates
share, script or style, stands in files of its own, and a template says `{{marks.js}}` where it belongs.
"""

import base64
import hashlib
import html
import json
import re
from importlib import resources


def page(template: str, title: str, data: bytes) -> bytes:
    """The bytes of `template` (a file beside this one) with its title and what `as_json` made of the data."""
    text = re.sub(r"\{\{(\w+\.(?:js|css))\}\}", lambda shared: _text(shared[1]), _text(template))
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None, f"{template} has lost its script"
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest())
    parts = {"title": html.escape(title).encode("utf-8", "replace"), "digest": digest, "data": data}
    # One pass, so that a value that looks like a placeholder is not taken for one.
    return re.sub(rb"\{\{(title|digest|data)\}\}", lambda m: parts[m[1].decode()], text.encode())


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def as_json(data: object) -> bytes:
    """JSON that stands inside `<script>` unharmed: without `<` there is neither an end tag nor a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode("utf-8", "replace")

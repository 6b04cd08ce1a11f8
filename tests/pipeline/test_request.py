"""Render keys: the digest of canonical JSON, which earlier jobs have stored."""

import hashlib
import inspect
import json

from hypothesis import given
from hypothesis import strategies as st

from pressrun.pipeline.request import FIELDS, KEYED, REVISION, WHOLE_PIXELS, RenderKeys, RenderRequest, render_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.integers(0, 2**63 - 1)


@given(TEXT, NUMBER, NUMBER, NUMBER, st.floats(0, 100), NUMBER, st.lists(TEXT), TEXT)
def test_a_render_key_is_the_digest_of_what_decides_the_pixels_as_json_writes_it(
    prompt: str, width: int, height: int, steps: int, guidance: float, seed: int, references: list[str], model: str
) -> None:
    request = RenderRequest("a", prompt, width, height, steps, guidance, seed)
    decides = {
        **{"revision": REVISION, "model": model, "precision": "bf16", "prompt": prompt, "references": references},
        **{"width": width, "height": height, "steps": steps, "guidance": guidance, "seed": seed},
    }
    rendered_width, rendered_height = request.render_size
    if rendered_width * rendered_height > WHOLE_PIXELS:
        decides["decoding"] = "tiles"
    text = json.dumps(decides, sort_keys=True, ensure_ascii=False)
    assert render_key(request, references, model, "bf16") == hashlib.sha256(text.encode()).hexdigest()


def test_every_field_that_decides_pixels_is_in_the_render_key() -> None:
    taken = [name for name in inspect.signature(RenderKeys.__call__).parameters if name != "self"]
    assert taken == [*KEYED, "references"]
    assert {*FIELDS} - {*KEYED} == {"custom_id", "references"}

"""Where else words may stand that keep off what a picture shows: their style's other boxes, or its own turned over."""

from collections.abc import Iterator
from dataclasses import replace

from pressrun.pipeline.overlay.copy_spec import Box, TextStyle

MOST_COVERED = 0.02
"""The share of a picture's subject that words may cover and still count as beside it."""
_TURNED = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def choices(style: TextStyle, shape: str) -> Iterator[TextStyle]:
    """A style with each of its boxes for a shape, its own first; without other boxes its own, mirrored sideways, then
    upside down, then both, as its words are."""
    yield style
    if not style.avoid:
        return
    if style.other_boxes:
        for boxes in style.other_boxes:
            yield replace(style, boxes=boxes)
        return
    left, top, width, height = style.boxes[shape]
    for across, down in ((True, False), (False, True), (True, True)):
        box = (100 - left - width if across else left, 100 - top - height if down else top, width, height)
        if box != style.boxes[shape]:
            align = _TURNED.get(style.align, style.align) if across else style.align
            valign = _TURNED.get(style.valign, style.valign) if down else style.valign
            yield replace(style, boxes={**style.boxes, shape: box}, align=align, valign=valign)


def meet(one: Box, other: Box) -> bool:
    """Whether two boxes (left, top, right, bottom) have an area in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]

"""What requests must share to run as one tensor batch. Free of torch: the planner groups a million rows by it."""

from dataclasses import dataclass

from pressrun.pipeline.request import MULTIPLE, Grid


@dataclass(frozen=True, order=True)
class Shape:
    """The key of a unit: requests of one shape stack into one tensor and take the same steps.

    `width` and `height` are the *rendered* pixels (multiples of 16; finished sizes inside them may differ row by row).
    `guidance` is 1.0 where the model ignores it. References may differ in every row, in number, size and layout, as
    long as their tokens add up to the same `reference_tokens`: every row carries its own rotary positions.
    """

    width: int
    height: int
    steps: int
    guidance: float
    reference_tokens: int
    text_tokens: int
    uses_cfg: bool

    @property
    def grid(self) -> Grid:
        """Rows and columns of the picture's own tokens."""
        return self.height // MULTIPLE, self.width // MULTIPLE

    @property
    def tokens(self) -> int:
        """Length of the sequence that the transformer attends over: text, picture and references."""
        return self.text_tokens + self.grid[0] * self.grid[1] + self.reference_tokens

    @property
    def nfe(self) -> int:
        """Transformer calls of one unit: a step with real guidance takes two, with the prompt and without."""
        return self.steps * (2 if self.uses_cfg else 1)

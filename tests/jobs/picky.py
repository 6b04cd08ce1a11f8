"""A classifier for tests: it likes a picture or not by a digest of its pixels, so that some rows are tried again."""

import hashlib

import numpy as np


class Picky:
    def score(self, pixels: np.ndarray, prompt: str) -> tuple[float, str]:
        """Two pictures in three are not good enough."""
        return float(hashlib.sha256(pixels.tobytes()).digest()[0] % 3 == 0), "It is not to my liking."

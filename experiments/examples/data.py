"""Generated pictures for the examples: plain or striped squares of four colours on grey noise.

The class is colour and pattern, so that there are eight classes, which a small network learns in
seconds. Pictures are uint8 [B, H, W, 3] and ids int32 [B], as a loader gives them. Use your own
loader in place of this file.
"""

from collections.abc import Iterator

import numpy as np

CLASSES = 8
COLOURS = np.array([[220, 60, 60], [60, 200, 60], [70, 90, 230], [220, 200, 60]])


def pictures(seed: int | tuple[int, ...], count: int, *, size: int = 16) -> tuple:
    """Draw pictures, uint8 [count, size, size, 3], and their class ids, int32 [count].

    Each has one square of its class's colour, plain (ids 0 to 3) or with black stripes (ids 4 to
    7), at a random place and of random size.
    """
    rng = np.random.default_rng(seed)
    ids = rng.integers(CLASSES, size=count, dtype=np.int32)
    radius = size * rng.uniform(0.2, 0.35, size=(count, 1, 1))
    y, x = radius + (size - 1 - 2 * radius) * rng.uniform(size=(2, count, 1, 1))
    down, right = np.mgrid[:size, :size]
    inside = np.maximum(abs(down - y), abs(right - x)) <= radius
    stripes = (ids[:, None, None] >= 4) & ((down + right) % 4 < 2)
    colours = COLOURS[ids % 4][:, None, None] * rng.uniform(0.7, 1.0, size=(count, 1, 1, 1))
    images = np.where(inside[..., None], colours * ~stripes[..., None], 100)
    images = images + rng.normal(0, 15, size=(count, size, size, 3))
    return images.clip(0, 255).astype(np.uint8), ids


def batches(seed: int, steps: int, batch: int = 64) -> Iterator[tuple]:
    """Give the step's number, pictures and ids for each of `steps` batches of new examples."""
    for step in range(steps):
        yield step, *pictures((seed, step), batch)

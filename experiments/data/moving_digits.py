"""Clips of real digits that move: which digit it is, and which way it goes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from experiments.data import digits

DIGITS = 5  # 0 to 4: a few hundred steps learn no more
MOTIONS = ("right", "left", "down", "up")
STEPS = np.array([[0, 1], [0, -1], [1, 0], [-1, 0]])  # (y, x)


Images = Float[np.ndarray, "n h w 1"]
Labels = Int[np.ndarray, "n"]


class Clips(NamedTuple):
    """Frames, and the two labels of each clip."""

    x: Float[Any, "*seeds n t h w 1"]
    digit: Int[Any, "*seeds n"]
    motion: Int[Any, "*seeds n"]


def clips(rng: np.random.Generator, x: Images, y: Labels, *, frames: int, side: int) -> Clips:
    """Each digit trembles along a straight path on a dark square, one position every two frames.

    A path passes the same places in both directions, so that no single frame shows the motion;
    each frame is up to one position off, so that two of them show little of it.
    """
    n, size = x.shape[:2]
    length = (frames - 1) // 2
    room = side - size - length - 2  # left along the path
    if frames < 1 or room < 0:
        raise ValueError(
            f"clips got digits of {size}, {frames} frames and a side of {side}; it needs a frame "
            f"or more, and for their path a side of {side - room} or more: take fewer frames."
        )
    motion = rng.integers(0, len(MOTIONS), n, np.int32)
    step = STEPS[motion]
    along, across = (rng.integers(0, most, (n, 1)) for most in (room + 1, room + length + 1))
    start = np.where(step == 0, across, along + np.where(step < 0, length, 0))
    path = start[:, None] + step[:, None] * (np.arange(frames) // 2)[:, None]
    corners = path + rng.integers(0, 3, path.shape)
    rows, columns = (corners[..., i, None] + np.arange(size) for i in range(2))
    film = np.zeros((n, frames, side, side, 1), np.float32)
    where = np.arange(n)[:, None, None, None], np.arange(frames)[:, None, None]
    film[(*where, rows[..., None], columns[:, :, None])] = x[:, None]
    return Clips(film, y, motion)


def window(
    key: PRNGKeyArray | None, x: Shaped[Array, "b t h w c"], shape: tuple[int, int, int]
) -> Shaped[Array, "b t2 h2 w2 c"]:
    """Cut clips to `shape`: at random places, one for all frames of a clip, or in the middle.

    Args:
      key: draws the places; None is the middle.
      x: the clips.
      shape: frames, height and width to keep.

    Raises:
      ValueError: If a clip is shorter or smaller than the window.
    """
    room = np.subtract(x.shape[1:4], shape)
    if min(shape) < 1 or (room < 0).any():
        raise ValueError(
            f"window got clips of (frames, height, width) {x.shape[1:4]} for a window of {shape}; "
            "it needs clips as large as the window: take a smaller window, or repeat frames."
        )
    middle = jnp.broadcast_to(room // 2, (x.shape[0], 3))
    start = middle if key is None else jax.random.randint(key, middle.shape, 0, room + 1)
    cut = lambda clip, at: jax.lax.dynamic_slice(clip, (*at, 0), (*shape, clip.shape[-1]))
    return jax.vmap(cut)(x, start)


def split(
    seed: int, *, train: int, test: int, frames: int = 10, side: int = 18, noise: float = 0.1
) -> tuple[Clips, Clips]:
    """Training and test clips, of different pictures of digits, with noise in every frame."""
    rng = np.random.default_rng(seed)
    x, y = digits.digits()
    order = rng.permutation(np.flatnonzero(y < DIGITS))[: train + test]
    made = clips(rng, x[order], y[order], frames=frames, side=side)
    made = made._replace(x=made.x + noise * rng.standard_normal(made.x.shape, np.float32))
    take = lambda rows: Clips(*(array[rows] for array in made))
    return take(slice(train)), take(slice(train, None))

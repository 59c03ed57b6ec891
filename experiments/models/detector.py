"""A small detector without anchors: each cell of 4 x 4 pixels says what has its centre there."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from experiments.models.cnn import Layer

STRIDE = 4
SIDE = 10.0  # of a usual box, in pixels


class Maps(NamedTuple):
    """What each cell says."""

    heat: Float[Array, "b h w k"]  # logits that an object of each class is centred there
    shape: Float[Array, "b h w 4"]  # (dy, dx, log height, log width), see `boxes_of`


class Detector(nnx.Module):
    """Four layers, the first two of stride 2, and one linear layer for each cell."""

    def __init__(self, num_classes: int, *, channels: int = 1, width: int = 32, rngs: nnx.Rngs):
        sizes, strides = (channels, width // 2, width, width, width), (2, 2, 1, 1)
        self.layers = nnx.List(
            Layer(sizes[i], sizes[i + 1], stride, dtype=jnp.float32, rngs=rngs)
            for i, stride in enumerate(strides)
        )
        rare = nnx.initializers.constant(-4.0)  # objects are; else empty cells dominate the loss
        self.heat = nnx.Linear(sizes[-1], num_classes, bias_init=rare, rngs=rngs)
        self.shape = nnx.Linear(sizes[-1], 4, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Maps:
        for layer in self.layers:
            x = layer(x, train)
        return Maps(self.heat(x), self.shape(x))


def cells_of(boxes: Float[Array, "b n 4"], grid: tuple[int, ...]) -> Int[Array, "b n 2"]:
    """The cell that a box's centre is in, the nearest one if it is in none."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    return jnp.clip((centre // STRIDE).astype(jnp.int32), 0, jnp.array(grid) - 1)


def shapes_of(boxes: Float[Array, "b n 4"], cells: Int[Array, "b n 2"]) -> Float[Array, "b n 4"]:
    """What a cell should say of a box: its centre from the cell's, in cells, and its log sides."""
    centre, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    offset = centre / STRIDE - (cells + 0.5)
    return jnp.concatenate([offset, jnp.log(jnp.maximum(sides, 1.0) / SIDE)], axis=-1)


def boxes_of(shape: Float[Array, "b h w 4"]) -> Float[Array, "b h w 4"]:
    """The box that each cell predicts: the inverse of `shapes_of`."""
    places = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape.shape[1:3]), indexing="ij"), axis=-1)
    centre, half = (
        STRIDE * (places[None] + 0.5 + shape[..., :2]),
        SIDE * jnp.exp(shape[..., 2:]) / 2,
    )
    return jnp.concatenate([centre - half, centre + half], axis=-1)


def loss(
    maps: Maps,
    boxes: Float[Array, "b n 4"],
    weights: Float[Array, "b n"],
    labels: Int[Array, "b n"],
) -> Float[Array, ""]:
    """The losses of objects, by weight, and of places without one, over the sum of weights.

    The loss of heat is focal (γ = 2). Several objects may share a cell: each has its own loss. An
    object of weight 0 counts as none: it has no loss, and its cell counts as empty.
    """
    grid = maps.heat.shape[1:3]
    cells = cells_of(boxes, grid)
    at = jax.nn.one_hot(cells[..., 0] * grid[1] + cells[..., 1], grid[0] * grid[1])
    heat, shape = (a.reshape(a.shape[0], -1, a.shape[-1]) for a in maps)
    said = jnp.einsum("bnc,bck->bnk", at, heat)
    logit = jnp.take_along_axis(said, labels[..., None], axis=-1)[..., 0]
    missed = jax.nn.sigmoid(-logit) ** 2 * jax.nn.softplus(-logit)
    error = jnp.abs(jnp.einsum("bnc,bcs->bns", at, shape) - shapes_of(boxes, cells)).sum(axis=-1)
    empty = ~_taken(at, weights, labels, heat.shape[-1])
    false = jnp.where(empty, jax.nn.sigmoid(heat) ** 2 * jax.nn.softplus(heat), 0)
    return ((weights * (missed + error)).sum() + false.sum()) / jnp.maximum(weights.sum(), 1.0)


def _taken(
    at: Float[Array, "b n c"], weights: Float[Array, "b n"], labels: Int[Array, "b n"], classes: int
) -> Bool[Array, "b c k"]:
    """Where an object that counts is centred, by class."""
    alive = jnp.where(weights > 0, 1.0, 0.0)
    return jnp.einsum("bn,bnc,bnk->bck", alive, at, jax.nn.one_hot(labels, classes)) > 0


def detect(maps: Maps, *, most: int = 12) -> tuple[Array, Array, Array]:
    """Scores, classes and boxes of the cells that are hotter than the eight around them."""
    heat = jax.nn.sigmoid(maps.heat)
    around = jax.lax.reduce_window(heat, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
    peaks = jnp.where(heat == around, heat, 0).reshape(heat.shape[0], -1)
    scores, place = jax.lax.top_k(peaks, most)
    classes = heat.shape[-1]
    boxes = boxes_of(maps.shape).reshape(heat.shape[0], -1, 4)
    return scores, place % classes, jnp.take_along_axis(boxes, place[..., None] // classes, axis=1)

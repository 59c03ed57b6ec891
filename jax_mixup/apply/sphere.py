"""Apply a mix to embeddings on a sphere: along the arc between two of them, not through it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from jax_mixup._blending import checked_rows, mask_for, partner_rows
from jax_mixup._entry import one_program, public
from jax_mixup.mix import Mix


@public
def blend_sphere(mix: Mix, z: PyTree, *, other: PyTree | None = None) -> PyTree:
    """Blend embeddings along the arc between them, so that unit vectors stay unit vectors.

        z̃ᵢ = (sin(mᵢ θ) zᵢ + sin((1 - mᵢ) θ) oᵢ) / sin θ,  cos θ = zᵢ · oᵢ / (‖zᵢ‖ ‖oᵢ‖)

    where oᵢ is the partner's embedding, or that of `other`. The limit for equal directions is the
    blend on the straight line. Between opposite vectors no arc is the shortest: there the result
    goes straight through 0. Vectors of other lengths than 1 are weighted the same. m = 0 and m = 1
    copy values exactly.

    Args:
      mix: a mix of B examples. Its mask may have positions, on axes between the batch and the last.
      z: embeddings f[B, ..., D], the vectors on the last axis, or a PyTree of them.
      other: embeddings to blend with in place of the partners: those of the texts, for example; of
        the same structure, shapes and dtypes as z.

    Returns:
      Arrays of the shapes and dtypes of z.

    Raises:
      TypeError: If z is not floating point.
      ValueError: If z has another B or no axis of vectors, if the mask does not fit z, or if
        `other` has another shape.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), jnp.full(2, 0.5))
      >>> middle = jm.blend_sphere(mix, jnp.array([[1.0, 0.0], [0.0, 1.0]]))
      >>> [round(float(x), 2) for x in middle[0]]
      [0.71, 0.71]

    m²-mixup (geodesic multi-modal mixup), Oh et al. 2023, arXiv:2203.03897, between the embeddings
    of a picture and of its text: `alpha=0.5`, and the results are hard negatives. Their code gives
    NaN for equal embeddings, and where rounding takes the product of two of them above 1.
    """

    def leaf(z: ArrayLike, other: ArrayLike | None = None) -> Array:
        z = checked_rows("blend_sphere", mix, "z", z)
        if not jnp.issubdtype(z.dtype, jnp.floating):
            raise TypeError(
                f"blend_sphere got z of dtype {z.dtype}; it needs floats, the embeddings of a "
                "model: for labels call blend_labels."
            )
        if z.ndim < 2 or mix.mask.ndim >= z.ndim:
            raise ValueError(
                f"blend_sphere got z of shape {z.shape} for a mask of shape {mix.mask.shape}; it "
                "needs vectors on the last axis, (B, ..., D), of which each has one weight: for a "
                "weight for each number call blend."
            )
        theirs = partner_rows("blend_sphere", mix, "z", z, other)
        if theirs is z:
            return z  # a batch of one
        return _on_arc(mask_for("blend_sphere", mix, z), z, theirs)

    return jax.tree.map(leaf, z) if other is None else jax.tree.map(leaf, z, other)


@one_program()
def _on_arc(
    mask: Array, z: Float[Array, "b ... d"], other: Float[Array, "b ... d"]
) -> Float[Array, "b ... d"]:
    """Go from the middle of the arc: this stays exact for almost equal and opposite vectors."""
    wide = z.dtype if z.dtype == jnp.float64 else jnp.float32
    m = mask.astype(wide)
    a = jnp.where(m > 0, z.astype(wide), 0.0)  # what has weight 0 has no influence
    b = jnp.where(m < 1, other.astype(wide), 0.0)
    u, v = unit(a), unit(b)
    across, along = (jnp.square(x).sum(-1, keepdims=True) / 4 for x in (u - v, u + v))
    apart, joined = across > 0, along > 1e-12
    sine = jnp.sqrt(jnp.where(apart, across, 1.0))  # of θ / 2
    cosine = jnp.sqrt(jnp.where(joined, along, 1.0))
    half = jnp.arctan2(jnp.where(apart, sine, 0.0), jnp.where(joined | ~apart, cosine, 0.0))
    turn = (2 * m - 1) * half
    mean = jnp.where(joined, jnp.cos(turn) / (2 * cosine), 0.0)
    difference = jnp.where(apart, jnp.sin(turn) / (2 * sine), m - 0.5)
    out = mean * (a + b) + difference * (a - b)
    return jnp.where(m == 1, a, jnp.where(m == 0, b, out)).astype(z.dtype)


def unit(z: Float[Array, "... d"]) -> Float[Array, "... d"]:
    """Scale vectors to length 1; zeros stay zeros."""
    largest = jax.lax.stop_gradient(jnp.abs(z).max(-1, keepdims=True, initial=0.0))
    z = z / jnp.where(largest > 0, largest, 1.0)  # a square would leave the range of the dtype
    square = jnp.square(z).sum(-1, keepdims=True)
    return z * jax.lax.rsqrt(jnp.where(square > 0, square, jnp.ones((), z.dtype)))

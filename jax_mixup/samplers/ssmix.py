"""SSMix: a span of words from the partner replaces one of the example's."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_span(
    key: PRNGKeyArray,
    lengths: Shaped[ArrayLike, "b ..."],
    size: int,
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    saliency: Shaped[ArrayLike, "b ..."] | None = None,
    pairing: Pairing = reverse(),
) -> tuple[Mix, Int[Array, "b t"]]:
    """Draw an SSMix: a span of the partner replaces a span of the example, of the same length.

        out[i, t] = x[p, t - aᵢ + bᵢ] for aᵢ <= t < aᵢ + sᵢ, else x[i, t]
        sᵢ = round((1 - λ) min(nᵢ, nₚ)),  λᵢ = 1 - sᵢ / nᵢ

    The spans start at places of their own, aᵢ and bᵢ, within the lengths n of the two examples, so
    that no padding is pasted and lengths do not change.

    Args:
      key: a PRNG key.
      lengths: i[B], the length n of each example without padding, from 0 to `size`.
      size: T, the number of positions of an example with its padding.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      saliency: f[B, T], how important each position is: the example loses its least salient span
        and gets its partner's most salient one. With None both places are uniformly random.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      The mix, with a bool mask [B, T], and the positions `source`, i32[B, T], that the partner's
      values come from: `other = jnp.take_along_axis(jm.take_partner(mix, x), source, axis=1)`, and
      then `jm.select(mix, x, other=other)`.

    Raises:
      TypeError: If `lengths` are not integers of shape (B,).
      ValueError: If `size` is not a positive int, a static `alpha` is negative, or `saliency` has
        another shape.

    Example:
      >>> words = jnp.array([[1, 2, 3, 0], [4, 5, 6, 7]])
      >>> half = jm.constant(0.5)
      >>> mix, source = jm.sample_span(jax.random.key(1), jnp.array([3, 4]), 4, lam_law=half)
      >>> other = jnp.take_along_axis(jm.take_partner(mix, words), source, axis=1)
      >>> jm.select(mix, words, other=other).tolist(), [round(float(lam), 2) for lam in mix.lam]
      ([[4, 5, 3, 0], [4, 1, 2, 7]], [0.33, 0.5])

    SSMix, Yoon et al. 2021, arXiv:2106.08062. Their saliency is the gradient norm, and the fraction
    that is replaced is fixed; here saliency is an input, and λ has a distribution.
    """
    lengths = jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer) or lengths.ndim != 1:
        raise TypeError(
            f"sample_span got lengths of shape {lengths.shape} and dtype {lengths.dtype}; it needs "
            "an integer length for each example, (B,)."
        )
    lengths, batch = lengths.astype(jnp.int32), lengths.shape[0]
    draw = Draw("sample_span", (batch, size), "example", pairing, alpha=alpha)
    lam, u = draw.numbers(key, alpha, lam_law, 2)
    partner = move_rows(draw.pairing, lengths)
    shorter = jnp.minimum(lengths, partner).astype(jnp.float32)
    span = jnp.round((1 - jax.lax.stop_gradient(lam)) * shorter).astype(jnp.int32)
    if saliency is None:
        start = _uniform_start(u[:, 0], lengths - span)
        origin = _uniform_start(u[:, 1], partner - span)
    else:
        worth = _checks.shaped("sample_span", "saliency", saliency, (batch, size))
        start = _best_start(-worth, span, lengths)
        origin = _best_start(move_rows(draw.pairing, worth), span, partner)
    place = jnp.arange(size, dtype=jnp.int32)[None, :]
    mask = (place < start[:, None]) | (place >= (start + span)[:, None])
    source = jnp.where(mask, place, place - start[:, None] + origin[:, None])
    rest, whole = (lengths - span).astype(jnp.float32), lengths.astype(jnp.float32)
    lam = jnp.where(whole > 0, rest / jnp.maximum(whole, 1.0), 1.0)
    return draw.mix(mask, lam), source


def _uniform_start(u: Float[Array, "b"], last: Int[Array, "b"]) -> Int[Array, "b"]:
    return jnp.minimum(jnp.floor(u * (last + 1).astype(jnp.float32)).astype(jnp.int32), last)


def _best_start(
    worth: Float[Array, "b t"], span: Int[Array, "b"], lengths: Int[Array, "b"]
) -> Int[Array, "b"]:
    """Find where the span of the greatest sum starts, within the length."""
    sums = jnp.pad(jnp.cumsum(worth.astype(jnp.float32), axis=1), ((0, 0), (1, 0)))
    place = jnp.arange(worth.shape[1], dtype=jnp.int32)[None, :]
    stop = jnp.minimum(place + span[:, None], worth.shape[1])
    gain = jnp.take_along_axis(sums, stop, axis=1) - sums[:, :-1]
    inside = place <= (lengths - span)[:, None]
    return jnp.where(inside, gain, -math.inf).argmax(axis=1).astype(jnp.int32)

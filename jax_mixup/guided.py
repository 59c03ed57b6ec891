"""Samplers whose masks follow data: class maps, lengths, saliency. The library runs no model.

Their randomness is each row's own, for what it follows is.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.laws import Law, law_and_uniforms
from jax_mixup.mix import Mix
from jax_mixup.pairing import Pairing, move_rows, reverse
from jax_mixup.samplers import check_options


@public
def sample_classmix(
    key: PRNGKeyArray,
    ids: Shaped[ArrayLike, "b *spatial"],
    *,
    num_classes: int,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a ClassMix: the row keeps half of its classes, and its partner is seen elsewhere.

        mᵢ = 1 where idsᵢ ∈ Sᵢ,  Sᵢ ⊂ classes present in row i, |Sᵢ| = ⌊Cᵢ/2⌋;  λᵢ = mean mᵢ

    Args:
      key: a PRNG key.
      ids: i[B, *spatial], true masks or a model's argmax. An id outside [0, K), as an ignore id, is
        no class: it is never kept.
      num_classes: K.
      pairing: a static pairing, or an index array.

    Returns:
      A mix with a bool mask [B, *spatial]: `select` moves ids under it. A row of one class keeps
      nothing.

    Raises:
      TypeError: for ids that are not integers.
      ValueError: for ids without a spatial axis.

    Example:
      >>> ids = jnp.array([[0, 0, 1, 255], [2, 2, 2, 2]])
      >>> mix = jm.sample_classmix(jax.random.key(0), ids, num_classes=3)
      >>> jm.select(mix, ids).tolist()
      [[0, 0, 2, 2], [0, 0, 1, 255]]

    Olsson et al. 2021, arXiv:2007.07936. Their code keeps the first image's classes and goes on to
    the next one; this is it for any pairing.
    """
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"sample_classmix got ids of dtype {ids.dtype}; it needs integers: call argmax first."
        )
    _checks.mask_shape("sample_classmix", ids.shape, spatial=True)
    pairing = check_options("sample_classmix", "example", pairing, batch=ids.shape[0])
    num_classes = _checks.whole("sample_classmix", "num_classes", num_classes, 1)
    flat = ids.reshape(ids.shape[0], -1)
    flat = flat if flat.dtype.itemsize > 4 else flat.astype(jnp.int32)  # K may not fit narrow ids
    known = (flat >= 0) & (flat < num_classes)
    # One class more, for what is none.
    place = jnp.where(known, flat, num_classes).astype(jnp.int32)
    present = jax.vmap(lambda row: jnp.zeros(num_classes + 1, bool).at[row].set(True))(place)
    present = present[:, :num_classes]
    u = jnp.where(present, jax.random.uniform(key, present.shape, jnp.float32), 2.0)
    rank = u.argsort(axis=1).argsort(axis=1)
    kept = rank < present.sum(axis=1, keepdims=True) // 2
    kept = jnp.pad(kept, ((0, 0), (0, 1)))
    mask = jnp.take_along_axis(kept, place, axis=1).reshape(ids.shape)
    return Mix(pairing, mask, masks.share(mask))


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
    """Draw a span of the partner, from a place of its own, in place of one as long of the row.

        out[i, t] = x[p, t - aᵢ + bᵢ] for aᵢ <= t < aᵢ + sᵢ, else x[i, t]
        sᵢ = round((1 - λ) min(nᵢ, nₚ)),  λᵢ = 1 - sᵢ / nᵢ

    Both spans lie within their rows' lengths n, so no padding comes in and lengths stay.

    Args:
      key: a PRNG key.
      lengths: n of each row, from 0 to `size`.
      size: T, positions of a row with its padding.
      alpha, lam_law, pairing: see `samplers`; λ is drawn for each row.
      saliency: f[B, T], how much each position matters: the row loses its least salient span and
        gets its partner's most salient one. None: both places are uniform.

    Returns:
      The mix, with a bool mask [B, T], and the positions `source`, i32[B, T], that the partner's
      values come from: `other = jnp.take_along_axis(jm.take_partner(mix, x), source, axis=1)`, and
      then `jm.select(mix, x, other=other)`.

    Raises:
      ValueError: for a bad `size`, a static negative `alpha`, `lengths` not of shape (B,), or
        saliency of another shape.

    Example:
      >>> words = jnp.array([[1, 2, 3, 0], [4, 5, 6, 7]])
      >>> half = jm.constant(0.5)
      >>> mix, source = jm.sample_span(jax.random.key(1), jnp.array([3, 4]), 4, lam_law=half)
      >>> other = jnp.take_along_axis(jm.take_partner(mix, words), source, axis=1)
      >>> jm.select(mix, words, other=other).tolist(), [round(float(lam), 2) for lam in mix.lam]
      ([[4, 5, 3, 0], [4, 1, 2, 7]], [0.33, 0.5])

    SSMix, Yoon et al. 2021, arXiv:2106.08062. They take the partner's gradient norm as saliency and
    a fixed share; here saliency is an input, and λ has a law.
    """
    lengths = jnp.asarray(lengths)
    _checks.integer_ids("sample_span", "lengths", lengths)
    lengths, batch = lengths.astype(jnp.int32), lengths.shape[0]
    _checks.mask_shape("sample_span", (batch, size), spatial=True)
    pairing = check_options("sample_span", "example", pairing, batch=batch, alpha=alpha)
    law, u = law_and_uniforms(key, lam_law, 2, batch)
    partner = move_rows(pairing, lengths)
    shorter = jnp.minimum(lengths, partner).astype(jnp.float32)
    span = jnp.round((1 - jax.lax.stop_gradient(law(alpha))) * shorter).astype(jnp.int32)
    if saliency is None:
        start, origin = _uniform_start(u[0], lengths - span), _uniform_start(u[1], partner - span)
    else:
        worth = _checks.shaped("sample_span", "saliency", saliency, (batch, size))
        start = _best_start(-worth, span, lengths)
        origin = _best_start(move_rows(pairing, worth), span, partner)
    place = jnp.arange(size, dtype=jnp.int32)[None, :]
    mask = (place < start[:, None]) | (place >= (start + span)[:, None])
    source = jnp.where(mask, place, place - start[:, None] + origin[:, None])
    kept, whole = (lengths - span).astype(jnp.float32), lengths.astype(jnp.float32)
    lam = jnp.where(whole > 0, kept / jnp.maximum(whole, 1.0), 1.0)
    return Mix(pairing, mask, lam), source


def _uniform_start(u: Float[Array, "b"], last: Int[Array, "b"]) -> Int[Array, "b"]:
    return jnp.minimum(jnp.floor(u * (last + 1).astype(jnp.float32)).astype(jnp.int32), last)


def _best_start(
    worth: Float[Array, "b t"], span: Int[Array, "b"], lengths: Int[Array, "b"]
) -> Int[Array, "b"]:
    """Where the span of the greatest sum starts, within the length."""
    sums = jnp.pad(jnp.cumsum(worth.astype(jnp.float32), axis=1), ((0, 0), (1, 0)))
    place = jnp.arange(worth.shape[1], dtype=jnp.int32)[None, :]
    stop = jnp.minimum(place + span[:, None], worth.shape[1])
    gain = jnp.take_along_axis(sums, stop, axis=1) - sums[:, :-1]
    inside = place <= (lengths - span)[:, None]
    return jnp.where(inside, gain, -math.inf).argmax(axis=1).astype(jnp.int32)

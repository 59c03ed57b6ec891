"""CutMix that avoids objects: of several boxes, the one that hides least of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import one_program, public
from jax_mixup._maps import checked_map
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw

HIGHEST = jax.lax.Precision.HIGHEST  # TPUs would otherwise multiply in bfloat16


@public
def sample_avoiding_cutmix(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    candidates: int = 3,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    box: str = "inside",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a CutMix that avoids objects: of k boxes, the one that hides least of the example.

        mᵢ = 0 in the box bⱼ with the least Σ s(bⱼ), j = 1, …, k, 1 outside;
        λᵢ = the fraction outside

    All k boxes of an example have the same sides, (1-λ)^(1/d) of each axis, at random places.

    Args:
      key: a PRNG key.
      saliency: [B, *spatial], what the box should not hide: the foreground, such as `ids > 0`, or
        how important each position is; what is NaN or infinite counts as 0. Of boxes that hide
        equally much the first is taken.
      candidates: k, how many boxes are drawn. With 1 this is CutMix.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      box: "inside" places whole boxes inside, so that all k are of one size and λ keeps its
        distribution. "clipped" and "even" are those of `sample_cutmix`: boxes that are cut off at
        the border hide less, and are taken more often. "corner" has one place only.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask [B, *spatial].

    Raises:
      ValueError: If `saliency` has no spatial axis, or one of channels, if `candidates` is not an
        int >= 1, a static `alpha` is negative, or `box` is unknown.

    Example:
      >>> ids = jnp.array([[0, 0, 0, 0, 1, 1, 1, 1], [2, 2, 2, 2, 0, 0, 0, 0]])
      >>> half = jm.constant(0.5)
      >>> key = jax.random.key(0)
      >>> mix = jm.sample_avoiding_cutmix(key, ids > 0, candidates=16, lam_law=half)
      >>> mix.mask.astype(int).tolist()
      [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]

    After the CutMix of Ultralytics, which draws three boxes, each with its own λ, takes one that
    meets no object's box, and does not mix if there is none or if it would show too little of the
    partner's objects. Here a box is always taken, and `mix_boxes` or `mix_objects` weigh what is
    left.
    """
    s = checked_map("sample_avoiding_cutmix", saliency)
    draw = Draw("sample_avoiding_cutmix", s.shape, "example", pairing, box=box, alpha=alpha)
    k = _checks.whole("sample_avoiding_cutmix", "candidates", candidates, 1)
    spatial, rank = draw.spatial, len(draw.spatial)
    lam, u = draw.numbers(key, alpha, lam_law, k * rank)
    centre = u.reshape(draw.batch * k, rank)
    start, stop = _geometry.box_corners(jnp.repeat(lam, k), centre, spatial, box=box)
    start, stop = (end.reshape(draw.batch, k, rank) for end in (start, stop))
    best = hidden(jnp.where(jnp.isfinite(s), s, 0.0), start, stop).argmin(axis=1)[:, None, None]
    start, stop = (jnp.take_along_axis(end, best, axis=1)[:, 0] for end in (start, stop))
    mask = _geometry.outside_box(start, stop, spatial)
    return draw.mix(mask, _geometry.share_outside(start, stop, spatial))


@one_program()
def hidden(
    s: Float[Array, "b *spatial"], start: Int[Array, "b k d"], stop: Int[Array, "b k d"]
) -> Float[Array, "b k"]:
    """The sum of s in each box, as a product with one line of 0 and 1 for each axis."""
    lines = []
    for axis, size in enumerate(s.shape[1:]):
        place = jnp.arange(size, dtype=jnp.int32)[None, None]
        inside = (place >= start[..., axis, None]) & (place < stop[..., axis, None])
        lines.append(inside.astype(jnp.float32))
    letters = "hwdefg"[: len(lines)]
    terms = ",".join(f"bk{letter}" for letter in letters)
    return jnp.einsum(f"b{letters},{terms}->bk", s, *lines, precision=HIGHEST)

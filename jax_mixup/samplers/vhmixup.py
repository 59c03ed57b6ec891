"""VH-mixup: the average of a vertical and a horizontal concatenation."""

from functools import reduce

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_vhmixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    checkered: bool = False,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a VH-Mixup: the average of a vertical and a horizontal concatenation with the partner.

        m = λ V + (1-λ) H,  V = 1 in the first λ₁ of rows, H = 1 in the first λ₂ of columns

    In V the example lies above its partner, in H to its left. λ, λ₁ and λ₂ have one distribution.
    With one spatial axis there is one concatenation; a third axis adds one more, averaged with the
    result of the first two.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      checkered: if True, there is no average: positions that are in both concatenations or in
        neither stay the example's, so that opposite quadrants come from the same example.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask, or a bool one if `checkered`: [1, *spatial] for per="batch", else
      [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, or `per` is unknown.

    Example:
      >>> mix = jm.sample_vhmixup(jax.random.key(0), (8, 4, 4), lam_law=jm.constant(0.5))
      >>> mix.mask[0, ::3, ::3].tolist()
      [[1.0, 0.5], [0.5, 0.0]]

    Summers and Dinneen 2019, arXiv:1805.11272; `checkered` is their mixed concatenation. One
    concatenation alone is `sample_cutmix(axes=(1,), box="corner")`.
    """
    name = "sample_vhmixup"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    rank = len(spatial)
    law, _ = draw.law_and_uniforms(key, lam_law, 0, times=2 * rank - 1)
    each = jnp.repeat(jnp.asarray(alpha), 2 * rank - 1) if jnp.ndim(alpha) else alpha
    drawn = draw.tie(law(each).reshape(draw.n, 2 * rank - 1))
    cuts, weights = drawn[:, :rank], _geometry.fusion_barrier(drawn[:, rank:])
    halves, shares = [], []
    for axis, size in enumerate(spatial, start=1):
        corners = _geometry.box_corners(cuts[:, axis - 1], cuts[:, :1], (size,), box="corner")
        half = _geometry.outside_box(*corners, (size,))
        halves.append(_geometry.spread(half, (axis,), spatial))
        shares.append(_geometry.share_outside(*corners, (size,)))
    if checkered:
        return draw.mix(reduce(jnp.equal, halves))
    mask, lam = halves[0].astype(jnp.float32), shares[0]
    for weight, half, share in zip(weights.T, halves[1:], shares[1:], strict=True):
        wide = padded(weight, mask.ndim)
        mask = wide * mask + jnp.where(half, 1 - wide, 0.0)
        lam = weight * lam + (1 - weight) * share
    return draw.mix(mask, lam)

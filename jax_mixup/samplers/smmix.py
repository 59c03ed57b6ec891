"""SMMix: a box of the partner's most attended tokens replaces the least attended ones."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._entry import public
from jax_mixup._geometry import best_box
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_smmix(
    key: PRNGKeyArray,
    attention: Shaped[ArrayLike, "b *grid"],
    *,
    sides: tuple[float, float] = (0.25, 0.75),
    patch: int = 1,
    pairing: Pairing = reverse(),
) -> tuple[Mix, tuple[Int[Array, "b d"], Int[Array, "b d"]]]:
    """Draw an SMMix: the partner's most attended box replaces the example's least attended one.

        m = 0 in the box of least Σ aᵢ, which shows the box of most Σ aₚ, both of side s
        s ~ U{⌊s₁ n⌋, …, ⌊s₂ n⌋} of an axis of n patches;  λᵢ = the fraction outside

    Args:
      key: a PRNG key.
      attention: f[B, *grid], how much attention each patch of each unmixed example gets.
      sides: the bounds s₁ and s₂ of a side, as fractions of the axis, in (0, 1]. A side has at
        least one patch.
      patch: how many positions of the inputs a patch has along each axis; the mask then has the
        positions of the inputs. With 1 it has those of the grid.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      The mix, with a bool mask [B, *(grid · patch)], and `source`, the partner's box to paste, as
      (start, stop), i32[B, d] each. Apply the mix with
      `other = jm.fit_partner(mix, x, source=source, method="nearest")`.

    Raises:
      ValueError: If `attention` has no spatial axis, the bounds are not 0 < s₁ <= s₂ <= 1, or
        `patch` < 1.

    Example:
      >>> attention = jnp.array([[9.0, 1.0, 2.0, 3.0], [5.0, 6.0, 0.0, 8.0]])
      >>> x = jnp.array([[1, 2, 3, 4], [5, 6, 7, 8]])
      >>> mix, source = jm.sample_smmix(jax.random.key(0), attention, sides=(0.5, 0.5))
      >>> other = jm.fit_partner(mix, x, source=source, method="nearest")
      >>> jm.select(mix, x, other=other).tolist()
      [[1, 5, 6, 4], [5, 1, 2, 8]]

    Chen et al. 2023, arXiv:2212.12977. Their attention is the model's own in evaluation mode, the
    mean over heads and over the patches that attend, and one side is drawn for the batch; here
    one is drawn for each example. Their label weight is the area too; `transmix` gives a weight by
    attention. Their two other losses need only the mask and `mix.lam`: one pools the tokens inside
    and outside of the mask, each with its label, the other takes the unmixed predictions, blended.
    """
    attention = jnp.asarray(attention)
    draw = Draw("sample_smmix", attention.shape, "example", pairing)
    grid = draw.spatial
    sides = _checks.bounds("sample_smmix", "sides", sides, "0 < s₁ <= s₂ <= 1", math.ulp(0.0), 1.0)
    patch = _checks.whole("sample_smmix", "patch", patch, 1)
    low, high = ([max(1, int(n * share)) for n in grid] for share in sides)
    low, high = (jnp.asarray([side], jnp.float32) for side in (low, high))
    u = jax.random.uniform(key, (draw.batch, 1), jnp.float32)
    side = jnp.minimum(jnp.floor(low + u * (high - low + 1)), high).astype(jnp.int32)
    worth = attention.astype(jnp.float32)
    start, origin = best_box(-worth, side), best_box(move_rows(draw.pairing, worth), side)
    spatial = tuple(n * patch for n in grid)
    corners = start * patch, (start + side) * patch
    outside = _geometry.outside_box(*corners, spatial)
    mix = draw.mix(outside, _geometry.share_outside(*corners, spatial))
    return mix, (origin * patch, (origin + side) * patch)

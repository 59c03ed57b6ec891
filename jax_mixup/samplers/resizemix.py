"""ResizeMix: the whole partner, scaled down and pasted."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jax_mixup import _checks
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import check_options
from jax_mixup.samplers.cutmix import sample_cutmix


@public
def sample_resizemix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    scale: tuple[float, float] = (0.1, 0.8),
    box: str = "inside",
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a ResizeMix: the partner's whole image, scaled down and pasted into the example.

        m = 0 in a box of side τ of each axis, τ ~ U(τ₁, τ₂);  λᵢ = the fraction outside

    Blend with `other=fit_partner(mix, x)`. No object of the partner is cut off, so that its label
    belongs to what is visible.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      scale: the bounds τ₁ and τ₂ of the side of the box, as fractions of each axis, in [0, 1].
      box: where the box lies: "clipped" centres it anywhere and cuts it off at the border, "even"
        does so with sides rounded down to even numbers, "inside" places the whole box inside, and
        "corner" puts it at the far end of each axis.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, the bounds are not 0 <= τ₁ <= τ₂ <= 1, or `box` or
        `per` is unknown.

    Example:
      >>> x = jnp.ones((8, 32, 32, 3))
      >>> mix = jm.sample_resizemix(jax.random.key(0), x.shape[:-1])
      >>> jm.blend(mix, x, other=jm.fit_partner(mix, x)).shape
      (8, 32, 32, 3)

    Qin et al. 2020, arXiv:2012.11101.
    """
    batch, *spatial = _checks.mask_shape("sample_resizemix", shape, spatial=True)
    pairing = check_options("sample_resizemix", per, pairing, box, batch=batch)
    scale = _checks.bounds("sample_resizemix", "scale", scale, "0 <= low <= high <= 1", 0.0, 1.0)
    law = _side_law(scale, len(spatial))
    return sample_cutmix(key, shape, lam_law=law, box=box, per=per, pairing=pairing)


def _side_law(scale: tuple[float, float], rank: int) -> Law:
    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return 1 - jax.random.uniform(key, shape, jnp.float32, *scale) ** rank

    return law

"""FadeMixUp: a mixup whose weight changes along one axis."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_fademix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    axis: int = 1,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a FadeMixUp: a mixup whose weight changes linearly along one axis, such as time.

        m(t) = λ + γ (2t / (T-1) - 1),  γ ~ U(-g, g), g = min(λ, 1-λ)

    The weight changes smoothly, so that motion stays intact; weights that are drawn again for each
    frame would flicker.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      axis: the axis of `shape` along which the weight changes; 1 is the first after the batch.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask, [1, *spatial] for per="batch", else [B, *spatial], which ends with
      `axis`: the weight is the same along all axes after it.

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, `per` is unknown, or
        `axis` is not an axis of `shape` after the first.

    Example:
      >>> mix = jm.sample_fademix(jax.random.key(0), (8, 5, 32, 32))  # (B, T, H, W)
      >>> mix.mask.shape, bool(jnp.isclose(mix.mask.mean(), mix.lam[0]))
      ((1, 5), True)

    Kim et al. 2020, arXiv:2008.05721.
    """
    name = "sample_fademix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    (axis,) = _checks.axes(name, (axis,), len(spatial))
    lam, u = draw.numbers(key, alpha, lam_law, 1)
    gamma = (2 * u[:, 0] - 1) * jnp.minimum(lam, 1 - lam)
    frames = spatial[axis - 1]
    ramp = jnp.linspace(-1, 1, frames, dtype=jnp.float32)
    ramp = ramp if frames > 1 else jnp.zeros(1, jnp.float32)
    mask = jnp.clip(lam[:, None] + gamma[:, None] * ramp[None, :], 0, 1)
    mask = _geometry.spread(mask, (axis,), (spatial[:axis]))
    return draw.mix(mask, lam)

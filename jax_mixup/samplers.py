"""Samplers: `sample_<method>(key, shape, *, ...) -> Mix`.

`shape` is that of a mask with one entry a row, `(B, *spatial)`: for images `images.shape[:-1]`,
since channels come last. Channels first, x[B, C, H, W], or variables before time: move the axis,
`x = jnp.moveaxis(x, 1, -1)`, sample and apply with that, and move it back after; within a jitted
step that adds no pass. With `x.shape[:-1]` of channels first a box would cut channels as if they
were space.

Samplers share these options; each says which it takes:

  alpha: concentration of λ ~ Beta(α, α). May be traced, so that a schedule costs one compile;
    alpha <= 0 is off: the mix leaves every row as it is. So is NaN, for every alpha, gamma, λ or
    probability that is traced; one that is known to be negative or NaN is an error. One number, or
    with per="example" one for each row.
  lam_law: any law `(key, shape) -> f32[shape]` in place of Beta(α, α); `alpha` is then not used.
    What it gives is cast to float32.
  per: "batch" draws once for all rows, which is the papers' way and the cheapest; "example" draws
    for each row; "pair" draws for each pair of a mutual pairing, and both rows share it. Samplers
    that follow data draw for each row, and do not take it.
  pairing: a static pairing, or an index array i32[B].

Masks and `lam` are float32 (hard masks bool) and index arrays int32, whatever comes in.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.laws import Law, below, law_and_uniforms
from jax_mixup.mix import Mix
from jax_mixup.pairing import PER, Pairing, StaticPairing, bound, draws, reverse, tie


@public
def sample_mixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a mixup: the whole of two examples, averaged.

        mᵢ = λᵢ, λᵢ ~ Beta(α, α)

    The mask has no positions, so the mix applies to inputs and hidden features of any shape.

    Args:
      key: a PRNG key.
      shape: (B, ...); only B is used.
      alpha, lam_law, per, pairing: see the module's docstring.

    Returns:
      A mix with a float32 mask, [1] or [B].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, or an unknown `per`.

    Example:
      >>> x = jnp.ones((8, 32, 32, 3))
      >>> mix = jm.sample_mixup(jax.random.key(0), x.shape[:-1], alpha=0.2)
      >>> mix.mask.shape, mix.lam.shape, jm.blend(mix, x).shape
      ((1,), (8,), (8, 32, 32, 3))

    Zhang et al. 2018, arXiv:1710.09412. The authors' code pairs by a random permutation
    (`permutation(key, B)`); reversal gives the same law for a shuffled batch, without a gather.
    """
    batch = _checks.mask_shape("sample_mixup", shape)[0]
    pairing = check_options("sample_mixup", per, pairing, batch=batch, alpha=alpha)
    law, _ = law_and_uniforms(key, lam_law, 0, draws(per, batch))
    lam = tie(per, pairing, batch, law(alpha))
    return Mix(pairing, lam, jnp.broadcast_to(lam, (batch,)))


@public
def sample_cutmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    box: str = "clipped",
    axes: tuple[int, ...] | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a CutMix: a box of the partner pasted into the row.

        mᵢ = 0 in a box of side (1-λ)^(1/d) of each axis, 1 outside;  λᵢ = the share outside

    An interval in 1-D, a box in 2-D, a cuboid in 3-D. `lam` is counted from the box's corners, so
    it is exact for odd sizes and clipped boxes. With `axes` the box spans the others whole, and d
    counts the axes that it cuts: of a video (B, T, H, W), (2, 3) cuts one box out of all frames and
    (1,) an interval of frames; of a spectrogram (B, T, F), (2,) cuts a band of frequencies.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see the module's docstring.
      alpha, lam_law, per, pairing: see the module's docstring.
      box: "clipped" centres the box anywhere and cuts off what lies beyond the border, as the
        paper's code does: at α = 1 in 2-D it pastes 77/240 = 32 % on average. "inside" places the
        whole box inside: it pastes ½. So does "corner", with the box at the far end of each axis
        that is cut: with axes=(1,) the row is seen above its partner, with (2,) to its left.
      axes: which axes of `shape` are cut, counted as an array's: 1 is the first after the batch.
        None is all.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `box` or `per`, or `axes`
        that are not different axes of `shape` after the first.

    Example:
      >>> mix = jm.sample_cutmix(jax.random.key(4), (8, 5, 7))
      >>> mix.mask.shape, mix.mask.dtype
      ((1, 5, 7), dtype('bool'))
      >>> print(f"{mix.lam[0]:.4f} = {mix.mask.sum()}/35")
      0.7143 = 25/35

    Yun et al. 2019, arXiv:1905.04899. The authors' code floors half the side, so that sides are
    even; here the side is rounded to the nearest whole number of positions. Videos: Yun et al.
    2020, arXiv:2012.03457, whose spatial, temporal and spatio-temporal boxes are `axes`.
    """
    batch, *spatial = _checks.mask_shape("sample_cutmix", shape, spatial=True)
    pairing = check_options("sample_cutmix", per, pairing, box, batch=batch, alpha=alpha)
    cut = _checks.axes("sample_cutmix", axes, len(spatial))
    law, centre = law_and_uniforms(key, lam_law, len(cut), draws(per, batch))
    lam, centre = tie(per, pairing, batch, (law(alpha), centre.T))
    mask, share = _cut(lam, centre, tuple(spatial[axis - 1] for axis in cut), box)
    if len(cut) < len(spatial):
        mask = masks.spread(mask, cut, tuple(spatial))
    return Mix(pairing, mask, jnp.broadcast_to(share, (batch,)))


@public
def sample_mixup_or_cutmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    mixup_alpha: ArrayLike = 0.8,
    cutmix_alpha: ArrayLike = 1.0,
    switch_prob: ArrayLike = 0.5,
    prob: ArrayLike = 1.0,
    lam_law: Law | None = None,
    box: str = "clipped",
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a CutMix with probability `switch_prob`, else a mixup, in one branch-free weight map.

        m = 1[outside the box] if CutMix else λ;  no mixing with probability 1 - prob

    One fusion, at the price of plain mixup, whichever is drawn.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see the module's docstring.
      mixup_alpha, cutmix_alpha: the concentration for each method; 0 turns that one off, which
        leaves its share of draws unmixed.
      switch_prob: probability of CutMix; may be traced.
      prob: probability of mixing at all; may be traced.
      lam_law: a law for both methods in place of the alphas.
      box: as in `sample_cutmix`.
      per, pairing: see the module's docstring; the method is drawn at the same grain.

    Returns:
      A mix with a float32 mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static alpha or probability out of range, an unknown `box` or
        `per`.

    Example:
      >>> mix = jm.sample_mixup_or_cutmix(jax.random.key(0), (8, 32, 32), per="example")
      >>> mix.mask.shape, mix.mask.dtype
      ((8, 32, 32), dtype('float32'))

    The defaults are those of the DeiT recipe (Touvron et al. 2021, arXiv:2012.12877) as timm runs
    it. timm falls back to the other method when one alpha is 0; here probabilities mean what they
    say.
    """
    name = "sample_mixup_or_cutmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    alphas = {"mixup_alpha": mixup_alpha, "cutmix_alpha": cutmix_alpha}
    pairing = check_options(name, per, pairing, box, batch=batch, **alphas)
    check_shares(name, per, batch, switch_prob=switch_prob, prob=prob)
    law, u = law_and_uniforms(key, lam_law, 2 + len(spatial), draws(per, batch))
    cut, on, centre = below(u[0], switch_prob), below(u[1], prob), u[2:].T
    on &= ~jnp.isnan(jnp.asarray(switch_prob).astype(jnp.float32))
    alpha = jnp.where(
        cut, jnp.asarray(cutmix_alpha, jnp.float32), jnp.asarray(mixup_alpha, jnp.float32)
    )
    lam = jnp.where(on, law(alpha), 1.0)
    cut, lam, centre = tie(per, pairing, batch, (cut, lam, centre))
    # A mixup is a box of nothing, and λ outside: one choice a position.
    outside, share = _cut(jnp.where(cut, lam, 1.0), centre, tuple(spatial), box)
    weights = jnp.stack([jnp.where(cut, 1.0, lam), jnp.where(cut, share, lam)])
    weight, lam = masks.computed_once(weights)
    mask = jnp.where(outside, weight.reshape((-1,) + (1,) * len(spatial)), 0.0)
    return Mix(pairing, mask, jnp.broadcast_to(lam, (batch,)))


@public
def sample_hmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    ratio: ArrayLike = 0.5,
    box: str = "clipped",
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw an HMix: a box of the partner, and a mixup around it.

        mᵢ = 0 in a box of share r (1-λ), λᵢ / sᵢ outside, where s is the share outside

    Whatever of the box is cut off at the border, the mean of the mask stays λ.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see the module's docstring.
      alpha, lam_law, per, pairing: see the module's docstring.
      ratio: r in [0, 1], how much of what the partner gives is in the box: 0 is mixup, 1 is CutMix
        but for what clipping takes; may be traced.
      box: as in `sample_cutmix`.

    Returns:
      A mix with a float32 mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, a static `ratio` outside [0, 1], an
        unknown `box` or `per`.

    Example:
      >>> mix = jm.sample_hmix(jax.random.key(0), (8, 4, 4), lam_law=jm.constant(0.5), box="corner")
      >>> [round(float(m), 3) for m in mix.mask[0, :, 3]], round(float(mix.lam[0]), 3)
      ([0.667, 0.667, 0.0, 0.0], 0.5)

    Park et al. 2022, arXiv:2208.09913, whose figures have r = 0.5; their code's default is 1. Sides
    of the box are rounded as in `sample_cutmix`; where rounding leaves less than λ outside, all of
    that is the row's own.
    """
    name = "sample_hmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, box, batch=batch, alpha=alpha)
    check_shares(name, per, batch, ratio=ratio)
    law, centre = law_and_uniforms(key, lam_law, len(spatial), draws(per, batch))
    r = jnp.asarray(ratio).astype(jnp.float32)
    lam, r = jnp.where(jnp.isnan(r), 1.0, law(alpha)), jnp.where(jnp.isnan(r), 0.0, r)
    lam, r, centre = tie(per, pairing, batch, (lam, jnp.broadcast_to(r, lam.shape), centre.T))
    kept = 1 - (1 - lam) * r
    outside, share = _cut(kept, centre, tuple(spatial), box)
    weight = jnp.minimum(lam / jnp.where(share > 0, share, 1.0), 1.0)
    weight, lam = masks.computed_once(jnp.stack([weight, weight * share]))
    mask = jnp.where(outside, weight.reshape((-1,) + (1,) * len(spatial)), 0.0)
    return Mix(pairing, mask, jnp.broadcast_to(lam, (batch,)))


def _cut(
    lam: Float[Array, "n"], centre: Float[Array, "n d"], spatial: tuple[int, ...], box: str
) -> tuple[Bool[Array, "n *spatial"], Float[Array, "n"]]:
    corners = masks.box_corners(lam, centre, spatial, box=box)
    return masks.outside_box(*corners, spatial), masks.share_outside(*corners, spatial)


def check_options(
    function: str,
    per: str,
    pairing: object,
    box: str = "clipped",
    *,
    batch: int,
    **alphas: ArrayLike,
) -> Pairing:
    """The pairing of the mix: one that knows its rows, or an int32 index array."""
    _checks.option(function, "per", per, PER)
    if not isinstance(pairing, StaticPairing):
        _checks.index_array(function, pairing, batch)
        pairing = jnp.asarray(pairing).astype(jnp.int32)
    _checks.option(function, "box", box, masks.BOXES)
    for name, value in alphas.items():
        _checks.alpha(function, name, value)
        _checks.each_draw(function, name, value, draws(per, batch), batch)
    return bound(pairing, batch)


def check_shares(function: str, per: str, batch: int, **shares: ArrayLike) -> None:
    for name, value in shares.items():
        _checks.share(function, name, value)
        _checks.each_draw(function, name, value, draws(per, batch), batch)


def hard_mix(mask: Bool[Array, "n *spatial"], pairing: Pairing, batch: int) -> Mix:
    """The mix of a bool mask that has no corners to count from."""
    return Mix(pairing, mask, jnp.broadcast_to(masks.share(mask), (batch,)))

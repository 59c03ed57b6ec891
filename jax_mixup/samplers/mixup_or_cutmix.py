"""mixup or CutMix: each draw is one of the two."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, below
from jax_mixup._entry import one_program, public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw, check_shares


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
    axes: tuple[int, ...] | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a CutMix with probability `switch_prob`, else a mixup.

        m = 1[outside the box] if CutMix else λ;  no mixing with probability 1 - prob

    There is one mask and no branch, so that the blend is one fusion and takes the time of plain
    mixup, whichever method is drawn.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      mixup_alpha, cutmix_alpha: concentration of λ ~ Beta(α, α) for each method: small values mix
        little, 1 makes λ uniform. Both may be traced. 0 turns a method off: what is drawn for it
        stays unmixed. Each is one number, or an array with one for each draw.
      switch_prob: the probability of CutMix; it may be traced.
      prob: the probability of mixing at all; it may be traced.
      lam_law: another distribution of λ for both methods, a function `(key, shape) -> f32[shape]`
        such as `jm.uniform(0.0, 1.0)`; the alphas are then not used.
      box: where the box lies: "clipped" centres it anywhere and cuts it off at the border, "even"
        does so with sides rounded down to even numbers, "inside" places the whole box inside, and
        "corner" puts it at the far end of each axis.
      axes: which axes of `shape` are cut; 1 is the first after the batch. None cuts all of them.
        For a video (B, T, H, W), axes=(2, 3) cuts one box out of all frames.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
        The choice of the method is drawn as often as λ.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, or seems to have channels while `axes` is None; if
        a static alpha is negative, a static probability is outside [0, 1], `box` or `per` is
        unknown, or `axes` are not different axes of `shape` after the first.

    Example:
      >>> mix = jm.sample_mixup_or_cutmix(jax.random.key(0), (8, 32, 32), per="example")
      >>> mix.mask.shape, mix.mask.dtype
      ((8, 32, 32), dtype('float32'))

    The defaults are those of the DeiT recipe (Touvron et al. 2021, arXiv:2012.12877) as timm runs
    it. timm uses the other method when one alpha is 0; here the probabilities stay as they are
    given.
    """
    name = "sample_mixup_or_cutmix"
    draw = Draw(
        name, shape, per, pairing, box=box, mixup_alpha=mixup_alpha, cutmix_alpha=cutmix_alpha
    )
    spatial = draw.spatial
    _checks.channels_out(name, (draw.batch, *spatial), axes)
    cut_axes = _checks.axes(name, axes, len(spatial))
    check_shares(name, draw, switch_prob=switch_prob, prob=prob)
    law, u = draw.law_and_uniforms(key, lam_law, 2 + len(cut_axes))
    cut, on, alpha, centre = _choice(u, switch_prob, prob, cutmix_alpha, mixup_alpha)
    cut, on, lam, centre = draw.tie((cut, on, law(alpha), centre))
    mask, lam = _mask(cut, on, lam, centre, tuple(spatial[axis - 1] for axis in cut_axes), box)
    if len(cut_axes) < len(spatial):
        mask = _geometry.spread(mask, cut_axes, spatial)
    return draw.mix(mask, lam)


@one_program()
def _choice(
    u: Float[Array, "n others"],
    switch_prob: ArrayLike,
    prob: ArrayLike,
    cutmix_alpha: ArrayLike,
    mixup_alpha: ArrayLike,
) -> tuple[Bool[Array, "n"], Bool[Array, "n"], Float[Array, "n"], Float[Array, "n d"]]:
    """Whether each draw is a CutMix, whether it mixes at all, its alpha, and its box's centre."""
    cut, on = below(u[:, 0], switch_prob), below(u[:, 1], prob)
    on &= ~jnp.isnan(jnp.asarray(switch_prob).astype(jnp.float32))
    alphas = (jnp.asarray(alpha, jnp.float32) for alpha in (cutmix_alpha, mixup_alpha))
    return cut, on, jnp.where(cut, *alphas), u[:, 2:]


@one_program("spatial", "box")
def _mask(
    cut: Bool[Array, "n"],
    on: Bool[Array, "n"],
    lam: Float[Array, "n"],
    centre: Float[Array, "n d"],
    spatial: tuple[int, ...],
    box: str,
) -> tuple[Float[Array, "n *spatial"], Float[Array, "n"]]:
    # A mixup is an empty box with λ outside.
    lam = jnp.where(on, lam, 1.0)
    start, stop = _geometry.place_box(jnp.where(cut, lam, 1.0), centre, spatial, box=box)
    return _geometry.weighted_box(start, stop, jnp.where(cut, 1.0, lam), spatial)

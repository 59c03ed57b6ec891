"""CutMix: a box of the partner, pasted."""

from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup._geometry import cut_box
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


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
    """Draw a CutMix: a box of the partner pasted into the example.

        mᵢ = 0 in a box of side (1-λ)^(1/d) of each axis, 1 outside;  λᵢ = the fraction outside

    The box is an interval in 1-D, a rectangle in 2-D, a cuboid in 3-D. `lam` is counted from the
    box's corners, so it is exact for odd sizes and clipped boxes. With `axes` only those axes are
    cut: the box spans the others completely, and d is the number of axes that are cut. For a video
    (B, T, H, W), axes=(2, 3) cuts one box out of all frames and axes=(1,) an interval of frames;
    for a spectrogram (B, T, F), axes=(2,) cuts a band of frequencies.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      box: "clipped" centres the box anywhere and cuts off what lies beyond the border, as the
        paper's code does: at α = 1 in 2-D it covers 77/240 = 32 % on average. "even" is the same
        with sides rounded down to even numbers and the centre at a whole position, exactly as in
        that code: at 32 x 32 it covers less, 30 %. "inside" places the whole box inside, where it
        covers ½ on average. "corner" puts the box at the far end of each axis that is cut, and
        covers ½ too: with axes=(1,) the example lies above its partner, with axes=(2,) to its left.
      axes: which axes of `shape` are cut; 1 is the first after the batch. None cuts all of them.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, or seems to have channels while `axes` is None; if
        a static `alpha` is negative, `box` or `per` is unknown, or `axes` are not different axes of
        `shape` after the first.

    Example:
      >>> mix = jm.sample_cutmix(jax.random.key(4), (8, 5, 7))
      >>> mix.mask.shape, mix.mask.dtype
      ((1, 5, 7), dtype('bool'))
      >>> print(f"{mix.lam[0]:.4f} = {mix.mask.sum()}/35")
      0.7143 = 25/35

    Yun et al. 2019, arXiv:1905.04899. The authors' code rounds half of the side down, as box="even"
    does; else the side is rounded to the nearest whole number of positions. The spatial,
    temporal and spatio-temporal boxes for videos (Yun et al. 2020, arXiv:2012.03457) are choices of
    `axes`.
    """
    draw = Draw("sample_cutmix", shape, per, pairing, box=box, alpha=alpha)
    spatial = draw.spatial
    _checks.channels_out("sample_cutmix", (draw.batch, *spatial), axes)
    cut = _checks.axes("sample_cutmix", axes, len(spatial))
    lam, centre = draw.numbers(key, alpha, lam_law, len(cut))
    mask, share = cut_box(lam, centre, tuple(spatial[axis - 1] for axis in cut), box)
    if len(cut) < len(spatial):
        mask = _geometry.spread(mask, cut, spatial)
    return draw.mix(mask, share)

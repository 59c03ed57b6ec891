"""Options of every sampler: the right value, or one sentence."""

from functools import partial
from inspect import unwrap  # past the shape checks, which only tests have

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.samplers.all_samplers import (
    ALL,
    FROM_SHAPE,
    IDS,
    KEY,
    SHAPE,
    TUPLES,
    F,
    draw,
    mixes_in,
    refused,
    takes,
    traced,
    unchecked,
)
from tests.library.statistics import seed

HOLDERS = [float, np.float32, np.array, jnp.array, lambda v: jnp.array(v, jnp.bfloat16)]
INDEXED = [name for name in ALL if "pairing" in takes(name)]


@pytest.mark.parametrize("holder", HOLDERS, ids=["float", "np", "0-d", "jax", "bf16"])
def test_known_numbers_are_checked_in_whatever_holds_them(holder):
    minus, many, nan = holder(-1.0), holder(2.0), holder(np.nan)
    names = [n for n in ALL if "alpha" in takes(n)]
    for name in names:
        refused(f"{name} got alpha=-1.0; it needs", partial(draw, name, alpha=minus))
        refused(f"{name} got alpha=nan", partial(draw, name, alpha=nan))
    refused("gamma=-1.0", partial(draw, "sample_patchup", gamma=minus))
    refused("ratio=2.0", partial(draw, "sample_hmix", ratio=many))
    refused("prob=2.0", partial(draw, "sample_mixup_or_cutmix", prob=many))
    refused("switch_prob=-1.0", partial(draw, "sample_mixup_or_cutmix", switch_prob=minus))
    refused("cutmix_alpha=-1.0", partial(draw, "sample_mixup_or_cutmix", cutmix_alpha=minus))
    refused("prob=2.0", lambda: jm.sometimes(jm.sample_mixup, many))
    refused("prob=2.0", lambda: jm.one_of([jm.sample_mixup] * 2, (many, minus)))
    refused("a=-1.0", lambda: jm.beta(minus, 1.0))
    refused("value=2.0", lambda: jm.constant(many))
    refused("high=2.0", lambda: jm.uniform(0.0, many))
    refused("alpha=-1.0", lambda: jm.folded_beta(minus))
    refused("alpha=2.0", lambda: jm.affine_uniform(many))
    refused("bandwidth=-1.0", lambda: jm.by_label_kernel(KEY, F, minus))
    refused("epsilon=-1.0", lambda: jm.sinkhorn(F, epsilon=minus))


def test_known_arrays_are_checked_value_by_value():
    wrong = jnp.array([1.0, 1.0, -2.0, 1.0])
    refused("alpha=-2.0", partial(draw, "sample_mixup", per="example", alpha=wrong))
    refused("alpha=-2.0", partial(draw, "sample_mixup", per="example", alpha=np.asarray(wrong)))
    two = [jm.sample_mixup, jm.sample_cutmix]
    for probs in (jnp.array([1.0, 1.0]), np.array([1.0, 1.0]), [jnp.float32(1), 1.0]):
        refused("sum to 2", lambda probs=probs: jm.one_of(two, probs))
    refused("2 samplers and 3 probs", lambda: jm.one_of(two, jnp.full(3, 1 / 3)))
    refused("an array of shape", lambda: unwrap(jm.one_of)(two, jnp.float32(1)))
    for third in (jnp.full(3, 1 / 3), jnp.full(3, 1 / 3, jnp.bfloat16), [1 / 3] * 3):
        jm.one_of([*two, jm.sample_hmix], third)
    refused("sum to 2", lambda: jm.randommix(KEY, F, IDS, probs=(0.5,) * 4, num_classes=4))


@pytest.mark.parametrize("name", INDEXED)
def test_index_arrays_are_of_the_batch(name):
    for index in (jnp.array([[1], [0], [2], [3]]), jnp.arange(5), jnp.int32(0)):
        refused(r"pairing of shape \(.*4 examples", partial(unchecked, name, pairing=index))
    for index in (np.array([1, 0, 2, 3]), jnp.array([1, 0, 2, 3], jnp.uint8)):
        partner = mixes_in(traced(partial(unchecked, name, pairing=index)))[0].partner
        assert partner.shape == (4,) and partner.dtype == jnp.int32
    assert mixes_in(traced(partial(draw, name)))[0].partner.rows == 4


@pytest.mark.parametrize("name", TUPLES)
def test_index_arrays_of_tuples_are_of_the_batch(name):
    wrong = (jm.roll(1), jnp.arange(3), jm.roll(2))[: 2 if "dirichlet" in name else 3]
    refused(r"pairing of shape \(3,\) for 4 examples", partial(draw, name, pairings=wrong))
    refused(r"pairings=.*tuple", lambda: unwrap(TUPLES[name])(KEY, SHAPE, pairings=jm.roll()))


@pytest.mark.parametrize("name", [n for n in ALL if "alpha" in takes(n)])
def test_alphas_are_one_or_one_for_each_row(name):
    options = {"per": "example"} if "per" in takes(name) else {}
    refused(r"alpha of shape \(3,\)", partial(draw, name, alpha=jnp.ones(3), **options))
    refused(r"alpha of shape \(4, 1\)", partial(draw, name, alpha=jnp.ones((4, 1)), **options))
    if options:
        refused("per='example'.*each", partial(draw, name, alpha=jnp.ones(4)))
    alphas = jnp.array([0.0, jnp.inf, 0.0, jnp.inf])
    mix = mixes_in(jax.jit(lambda a: draw(name, alpha=a, **options))(alphas))[0]
    mask = np.broadcast_to(mix.mask, (4, *mix.mask.shape[1:])).reshape(4, -1)
    assert mask[0].all() and mask[2].all() and (mix.lam[::2] == 1).all()
    if name not in ("sample_specmix", "sample_span"):
        assert (mix.lam[1::2] < 1).all()


def test_probabilities_are_one_or_one_for_each_row():
    four = jnp.array([0.0, 1.0, 0.0, 1.0])
    for name in ("prob", "switch_prob"):
        refused(f"{name} of shape", partial(draw, "sample_mixup_or_cutmix", **{name: four}))
    refused("ratio of shape", partial(draw, "sample_hmix", ratio=four))
    refused("gamma of shape", partial(draw, "sample_patchup", gamma=four, block=2))
    refused("prob of shape", lambda: jm.sometimes(jm.sample_mixup, four)(KEY, SHAPE))
    refused(
        "distribution got.*per='example'", partial(draw, "sample_mixup", lam_law=jm.constant(four))
    )
    half = partial(jm.sample_mixup, lam_law=jm.constant(0.5))
    lam = jm.sometimes(half, four, per="example")(KEY, SHAPE).lam
    np.testing.assert_array_equal(lam, [1, 0.5, 1, 0.5])
    mix = jm.sample_mixup_or_cutmix(KEY, SHAPE, prob=four, per="example")
    assert (mix.lam[::2] == 1).all()
    lam = jm.sample_mixup(KEY, (4,), lam_law=jm.constant(four), per="example").lam
    np.testing.assert_array_equal(lam, four)


def test_numbers_where_tuples_are_needed():
    cases = {
        r"axes=1.*\(1,\)": lambda: unwrap(jm.sample_cutmix)(KEY, SHAPE, axes=1),
        r"grid=2.*\(2, 2\)": lambda: unwrap(jm.sample_gridmix)(KEY, SHAPE, grid=2),
        r"tokenmix got grid=2.*\(2, 2\)": lambda: unwrap(jm.sample_tokenmix)(KEY, SHAPE, grid=2),
        r"puzzlemix got grid=2.*\(2, 2\)": lambda: unwrap(jm.sample_puzzlemix)(KEY, F, grid=2),
        r"grafting got grid=2.*\(2, 2\)": lambda: unwrap(jm.sample_grafting)(KEY, F, grid=2),
        r"cutmix got grid=2": lambda: unwrap(jm.sample_attentive_cutmix)(KEY, F, grid=2),
        r"move_blocks got grid=2": lambda: unwrap(jm.move_blocks)(
            F, jnp.zeros((4, 4), int), grid=2
        ),
        r"grid=\(2.0, 2\)": lambda: unwrap(jm.sample_gridmix)(KEY, SHAPE, grid=(2.0, 2)),
        r"sigma=3.0.*\(3.0, 3.0\)": lambda: unwrap(jm.sample_cowmix)(KEY, SHAPE, sigma=3.0),
        r"smoothmix got sigma=3.0": lambda: unwrap(jm.sample_smoothmix)(KEY, SHAPE, sigma=3.0),
        r"scale=0.5.*\(0.5, 0.5\)": lambda: unwrap(jm.sample_resizemix)(KEY, SHAPE, scale=0.5),
        r"sides=0.5.*\(0.5, 0.5\)": lambda: unwrap(jm.sample_smmix)(KEY, F, sides=0.5),
        r"holes=3.*\(3, 3\)": lambda: unwrap(jm.sample_gridmixup)(KEY, SHAPE, holes=3),
        "holes=1.5": lambda: unwrap(jm.sample_gridmixup)(KEY, SHAPE, holes=(1.5, 2.5)),
        "block=2.5": lambda: unwrap(jm.sample_patchup)(KEY, SHAPE, block=2.5),
        r"block=\(2,\)": lambda: unwrap(jm.sample_patchup)(KEY, SHAPE, block=(2,)),
        "k=1.5": lambda: unwrap(jm.nearest)(KEY, F, k=1.5),
        "bands=1.5": lambda: unwrap(jm.sample_specmix)(KEY, SHAPE, bands=1.5),
    }
    for match, make in cases.items():
        refused(match, make)
    assert unchecked("sample_patchup", block=np.int64(2)).mask.shape[1:] == SHAPE[1:]


def test_structure_is_never_traced():
    with pytest.raises(ValueError, match=r"decay=.*known when the step is traced"):
        jax.eval_shape(lambda d: unwrap(jm.sample_fmix)(KEY, SHAPE, decay=d), 1.0)


def test_more_positions_than_int32_counts():
    for name in FROM_SHAPE:
        if name != "sample_mixup":
            make = lambda name=name: getattr(jm, name)(KEY, (2, 2**16, 2**15))
            refused(r"2147483648 positions.*2147483647", make)
    assert jm.sample_mixup(KEY, (2, 2**16, 2**16)).lam.shape == (2,)


def test_alpha_may_be_traced_and_of_any_float():
    @jax.jit
    def lams(alpha):
        samplers = (jm.sample_fmix, jm.sample_gmix, jm.sample_hmix)
        return [f(seed(5), (3, 7), alpha=alpha, per="example").lam for f in samplers]

    for lam in lams(jnp.bfloat16(0.5)):
        assert lam.dtype == jnp.float32 and bool(((lam >= 0) & (lam <= 1)).all())

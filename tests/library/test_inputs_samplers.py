"""What users give to samplers, laws, pairings and policies: the right value, or one sentence.

Each test is of a kind, in every function that shares it.
"""

import inspect
from functools import partial
from inspect import unwrap  # past the shape checks, which only tests have

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import jax_mixup as jm
from jax_mixup import _distances
from jax_mixup.pairings import _rows
from jax_mixup.presets import PRESETS
from tests.library.methods import METHODS, SEVERAL, SHAPED
from tests.library.x64 import enable_x64

KEY = jax.random.key(0)
B = 4
SHAPE = (B, 6, 6)
F, IDS = jnp.linspace(0.1, 0.9, B * 36).reshape(SHAPE), jnp.array([0, 1, 1, 3])
FROM_SHAPE = [draw.run.__name__ for draw in SHAPED]
FROM_DATA = {
    "sample_saliencymix": (jm.sample_saliencymix, (F,)),
    "sample_attentive_cutmix": (partial(jm.sample_attentive_cutmix, grid=(3, 3)), (F,)),
    "sample_guidedmixup": (jm.sample_guidedmixup, (F,)),
    "sample_grafting": (partial(jm.sample_grafting, grid=(3, 3)), (F,)),
    "sample_snapmix": (jm.sample_snapmix, (F,)),
    "sample_puzzlemix": (partial(jm.sample_puzzlemix, grid=(3, 3), iterations=3), (F,)),
    "sample_smmix": (jm.sample_smmix, (F,)),
    "sample_classmix": (partial(jm.sample_classmix, num_classes=3), (jnp.ones(SHAPE, int),)),
    "sample_span": (jm.sample_span, (IDS, 6)),
}
TUPLES = {draw.run.__name__: draw.run for draw in SEVERAL}
SAMPLERS = {n: (getattr(jm, n), (SHAPE,)) for n in FROM_SHAPE} | FROM_DATA
ALL = SAMPLERS | {n: (sampler, (SHAPE,)) for n, sampler in TUPLES.items()}


def takes(name):
    return inspect.signature(getattr(jm, name)).parameters


def draw(name, /, **options):
    sampler, args = ALL[name]
    return sampler(KEY, *args, **options)


def refused(match, make, error=ValueError):
    with pytest.raises(error, match=match) as caught:
        jax.eval_shape(make)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 320, text


def mixes_in(drawn):
    return [m for m in jax.tree.leaves(drawn, is_leaf=is_mix) if is_mix(m)]


def traced(make):
    """What it gives, as tracers: their shapes and dtypes, and nothing is compiled."""
    seen = []
    jax.eval_shape(lambda: (seen.append(make()), jnp.zeros(()))[1])
    return seen[0]


def is_mix(value):
    return isinstance(value, jm.Mix)


def is_off(drawn):
    return all(
        (m.lam == 1).all() and (m.mask.astype(jnp.float32) == 1).all() for m in mixes_in(drawn)
    )


# Numbers that are known are checked, whatever holds them.

HOLDERS = [float, np.float32, np.array, jnp.array, lambda v: jnp.array(v, jnp.bfloat16)]


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


# Limits.


def test_limits_of_laws():
    inf, tiny = jnp.inf, 1e-30
    eight = lambda law: np.asarray(law(KEY, (8,)))
    assert (eight(jm.beta(inf, inf)) == 0.5).all()
    assert (eight(jm.beta(inf, 1.0)) == 1).all() and (eight(jm.beta(1.0, inf)) == 0).all()
    assert (eight(jm.folded_beta(inf)) == 0.5).all()
    assert (jm.symmetric_beta(KEY, inf, (8,)) == 0.5).all()
    assert (eight(jm.uniform(0.25, 0.25)) == 0.25).all()
    assert (eight(jm.affine_uniform(0.5)) == 0.5).all()
    assert (eight(jm.constant(0.0)) == 0).all() and (eight(jm.constant(1.0)) == 1).all()
    for small in (tiny, 1e-37):
        few = np.asarray(jax.jit(lambda a: jm.beta(a, a)(KEY, (64,)))(small))
        assert set(few) == {0, 1} and 16 < few.sum() < 48
        assert set(eight(jm.folded_beta(small))) == {1}
    rare = np.asarray(jm.beta(1e-36, 3e-36)(KEY, (4000,)))
    assert set(rare) == {0, 1} and abs(rare.mean() - 0.25) < 0.03
    assert (eight(jm.beta(1e30, 1.0)) > 0.999).all() and (eight(jm.beta(1e30, 1e30)) > 0.49).all()


@pytest.mark.parametrize("per", ["batch", "example"])
def test_limits_of_dirichlet_and_ricap(per):
    @jax.jit
    def of(alpha):
        drawn = jm.sample_dirichlet(KEY, (64,), k=4, alpha=alpha, per=per)
        return jm.blend_labels(drawn, jnp.arange(64), num_classes=64)

    found = np.asarray(of(jnp.inf))
    np.testing.assert_allclose(found[5, [5, 4, 3, 2]], 0.25, rtol=1e-6)
    for alpha in (1e-38, 1e-30, 1e-6):
        found = np.asarray(of(alpha))
        np.testing.assert_allclose(found.max(axis=1), 1, atol=1e-5)  # one row has all
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (of(0.0) == np.eye(64)).all() and (of(jnp.nan) == np.eye(64)).all()
    quarter = jm.sample_ricap(KEY, (4, 6, 6), alpha=jnp.inf, per=per)
    np.testing.assert_allclose(jm.blend_labels(quarter, jnp.eye(4))[0], 0.25, rtol=1e-6)


# NaN is off.


def test_a_traced_nan_is_off_in_every_sampler():
    @jax.jit
    def at(nan):
        found = {m.name: m(KEY, SHAPE, alpha=nan) for m in METHODS if m.options}
        for name, (sampler, args) in ALL.items():
            if "lam_law" in takes(name) and name != "sample_patchup":
                nans = lambda key, shape: jnp.full(shape, jnp.nan) + nan
                found[name + " law"] = sampler(KEY, *args, lam_law=nans)
            if "alpha" in takes(name):
                found[name] = sampler(KEY, *args, alpha=nan)
        soft = jm.constant(0.5)
        found["gamma"] = jm.sample_patchup(KEY, SHAPE, gamma=nan, block=2, lam_law=soft)
        found["ratio"] = jm.sample_hmix(KEY, SHAPE, ratio=nan, lam_law=soft)
        for name in ("prob", "switch_prob"):
            found[name] = jm.sample_mixup_or_cutmix(KEY, SHAPE, **{name: nan}, lam_law=soft)
        half = partial(jm.sample_mixup, lam_law=soft)
        found["sometimes"] = jm.sometimes(half, nan)(KEY, SHAPE)
        found["one_of"] = jm.one_of([half, jm.sample_ricap], (nan, 0.5))(KEY, SHAPE)
        found["second"] = jm.one_of([half, half], (0.5, nan), per="example")(KEY, SHAPE)
        for name in ("constant", "folded_beta", "affine_uniform"):
            found[f"law {name}"] = jm.sample_mixup(KEY, SHAPE, lam_law=getattr(jm, name)(nan))
        for law in (jm.beta(nan, 1.0), jm.beta(jnp.inf, nan), jm.uniform(0.0, nan)):
            found[f"law {len(found)}"] = jm.sample_mixup(KEY, SHAPE, lam_law=law)
        return found

    with jax.debug_nans(True):
        found = at(jnp.nan)
    assert not {name for name, drawn in found.items() if not is_off(drawn)}
    exempt = {"snapmix"}
    for name, drawn in found.items():
        leaves = [x for x in jax.tree.leaves(drawn) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert name in exempt or all(jnp.isfinite(x).all() for x in leaves), name


# What a law gives, and dtypes in general.


@pytest.mark.parametrize(
    "law",
    [
        lambda key, shape: np.full(shape, 0.5),
        lambda key, shape: jnp.full(shape, 0.5, jnp.bfloat16),
        lambda key, shape: jnp.full(shape, 0.5, jnp.float16),
        lambda key, shape: jnp.ones(shape, jnp.int32),
    ],
    ids=["numpy64", "bf16", "f16", "int"],
)
def test_laws_of_any_dtype(law):
    for name in ALL:
        if "lam_law" in takes(name):
            for mix in mixes_in(traced(partial(draw, name, lam_law=law))):
                assert mix.lam.dtype == jnp.float32, name
                assert mix.mask.dtype in (jnp.float32, jnp.bool_), name
    lam = jm.sample_mixup(KEY, (4,), lam_law=law).lam
    np.testing.assert_array_equal(lam, np.asarray(law(KEY, (4,)), np.float32))


def test_laws_of_another_shape_are_told():
    for name in ALL:
        if "lam_law" in takes(name):
            scalar = partial(draw, name, lam_law=lambda key, shape: jnp.float32(0.5))
            refused(r"lam_law an array of shape \(\).*constant", scalar)
            pairs = lambda key, shape: jnp.ones((*shape, 2))
            refused(r"lam_law an array of shape \(\d, 2\)", partial(draw, name, lam_law=pairs))
    complex_law = lambda key, shape: jnp.ones(shape, jnp.complex64)
    refused("complex64", partial(draw, "sample_mixup", lam_law=complex_law))


def calls(f, i):
    """Every function here of arrays: f floats [B, 6, 6], i integers [B]."""
    law = lambda key, shape: jnp.broadcast_to(f[0, 0, 0], shape)
    ids = jnp.broadcast_to(i[:, None], (B, 6))
    data = {"sample_classmix": ids, "sample_span": i}
    found = {}
    for name, (sampler, args) in ALL.items():
        if name not in FROM_DATA:
            given = args
        else:
            given = (data.get(name, f), *args[1:])
        found[name] = partial(sampler, KEY, *given)
        if "lam_law" in takes(name):
            found[name + " law"] = partial(sampler, KEY, *given, lam_law=law)
        if "alpha" in takes(name):
            per = {"per": "example"} if "per" in takes(name) else {}
            found[name + " alpha"] = partial(sampler, KEY, *given, alpha=f[0, 0, 0])
            found[name + " alphas"] = partial(sampler, KEY, *given, alpha=f[:, 0, 0], **per)
    each = {"per": "example", "prob": f[:, 0, 0], "switch_prob": f[:, 0, 0]}
    found["either"] = partial(jm.sample_mixup_or_cutmix, KEY, SHAPE, **each)
    found["ratios"] = partial(jm.sample_hmix, KEY, SHAPE, per="pair", ratio=f[:, 0, 0])
    found["gammas"] = partial(jm.sample_patchup, KEY, SHAPE, per="pair", gamma=f[:, 0, 0])
    found["sometimes"] = partial(
        jm.sometimes(jm.sample_ricap, f[:, 0, 0], per="example"), KEY, SHAPE
    )
    three = [jm.sample_mixup, jm.sample_ricap, jm.sample_dirichlet]
    policy = lambda: jm.one_of(three, f[0, 0, :3], per="example")
    found["one_of"] = lambda: policy()(KEY, SHAPE)
    found["colours"] = partial(jm.sample_puzzlemix, KEY, f, x=f[..., None], grid=(3, 3))
    for name in ("within_class", "across_class", "class_balanced"):
        found[name] = partial(getattr(jm, name), KEY, i)
    for name, x in (("floats", f), ("ints", i)):
        found[f"kernel {name}"] = partial(jm.by_label_kernel, KEY, x, f[0, 0, 0])
        found[f"nearest {name}"] = partial(jm.nearest, KEY, x, k=2)
        found[f"transported {name}"] = partial(jm.transported, KEY, x[:3], k=2)
    found["salient_pairs"] = partial(jm.salient_pairs, f)
    found["sinkhorn"] = partial(jm.sinkhorn, f, epsilon=f[0, 0, 0])
    found["spectral"] = partial(jm.spectral_residual, f[..., None])
    found["gradient"] = partial(jm.gradient_saliency, lambda x: (x * x).sum(), f[..., None])
    cut = lambda: jm.puzzle_transport(jm.sample_cutmix(KEY, SHAPE), f, grid=(3, 3), iterations=3)
    found["transport"] = cut
    found["folded"] = partial(jm.folded_beta(f[0, 0, 0]), KEY, (B,))
    return found


DTYPES = [("float64", "int64"), ("float32", "uint8"), ("bfloat16", "int8"), ("float16", "int32")]


@pytest.mark.parametrize("floats, ints", DTYPES)
@pytest.mark.parametrize("x64", [True, False], ids=["x64", "x32"])
def test_results_are_float32_int32_and_bool_whatever_comes(x64, floats, ints):
    if not x64 and floats == "float64":
        pytest.skip("there are none")
    with enable_x64(x64):
        f, i = F.astype(floats), IDS.astype(ints)
        for name in calls(F, IDS):
            drawn = traced(partial(jax.jit(lambda f, i, name=name: calls(f, i)[name]()), f, i))
            dtypes = {leaf.dtype.name for leaf in jax.tree.leaves(drawn)}
            assert dtypes <= {"float32", "int32", "bool"}, (name, dtypes)


def test_everything_traces_inside_shard_map():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("d")
    f, i = jnp.tile(F, (8, 1, 1)), jnp.tile(IDS, 8)
    needs_key = {"sample_dirichlet alpha", "sample_dirichlet alphas"}  # one as varied as its alpha
    for name in set(calls(F, IDS)) - needs_key:

        def body(f, i, name=name):
            return [leaf[None] for leaf in jax.tree.leaves(calls(f, i)[name]())]

        mapped = jax.shard_map(body, mesh=mesh, in_specs=rows, out_specs=rows)
        traced(partial(mapped, f, i))


def test_ids_in_narrow_dtypes_do_not_wrap():
    rows = np.tile(np.repeat([0, 255], 8), (2, 1)).astype(np.uint8)
    for classes in (256, 300, 1000):
        mix = jm.sample_classmix(KEY, rows, num_classes=classes)
        np.testing.assert_array_equal(mix.lam, 0.5)  # one of two classes
    mix = jm.sample_classmix(KEY, rows, num_classes=255)  # 255 is no class, and 0 the only one
    np.testing.assert_array_equal(mix.lam, 0)
    with enable_x64(True):
        far = jnp.array([[0, 0, 2**32, 2**32]] * 2)
        assert not jm.sample_classmix(KEY, far, num_classes=3).mask.any()
    lengths = jnp.array([200, 250], jnp.uint8)
    mix, _ = jm.sample_span(KEY, lengths, 250, lam_law=jm.constant(0.0))
    np.testing.assert_allclose(mix.lam, [0, 1 - 200 / 250], rtol=1e-6)


# Index arrays, and numbers of another shape.

INDEXED = [name for name in ALL if "pairing" in takes(name)]


@pytest.mark.parametrize("name", INDEXED)
def test_index_arrays_are_of_the_batch(name):
    for index in (jnp.array([[1], [0], [2], [3]]), jnp.arange(5), jnp.int32(0)):
        refused(r"pairing of shape \(.*4 examples", partial(unchecked, name, pairing=index))
    for index in (np.array([1, 0, 2, 3]), jnp.array([1, 0, 2, 3], jnp.uint8)):
        partner = mixes_in(traced(partial(unchecked, name, pairing=index)))[0].partner
        assert partner.shape == (4,) and partner.dtype == jnp.int32
    assert mixes_in(traced(partial(draw, name)))[0].partner.rows == 4


def unchecked(name, **options):
    sampler, args = ALL[name]
    options = getattr(sampler, "keywords", {}) | options
    return unwrap(getattr(jm, name))(KEY, *args, **options)


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
    refused("law got.*per='example'", partial(draw, "sample_mixup", lam_law=jm.constant(four)))
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


def test_a_last_batch_that_is_too_small():
    for rows in (2, 3):
        refused(
            f"{rows} rows and mixes 4.*pairings", lambda n=rows: jm.sample_ricap(KEY, (n, 4, 4))
        )
    refused("3 rows and mixes 5", lambda: jm.sample_dirichlet(KEY, (3,), k=5))
    assert is_off_when_alone(jm.sample_ricap(KEY, (1, 4, 4)))
    assert is_off_when_alone(jm.sample_dirichlet(KEY, (1,), k=5))
    pairings = (jm.roll(1), jm.roll(2), jm.roll(1))
    assert jm.sample_ricap(KEY, (3, 4, 4), pairings=pairings)[0].lam.shape == (3,)


def is_off_when_alone(mix):
    x = jnp.full((1, 4, 4, 1), 0.3)
    return bool((jm.blend(mix, x) == x).all())


# Pairings with missing values.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_rows_are_their_own_and_nobodys(value):
    x = np.array([[0.0, 1], [0, 2], [value, 0], [5, 5], [5, 6], [1, value], [0, 1]], np.float32)
    missing = np.array([2, 5])
    pairings = {
        "kernel": lambda key, x: jm.by_label_kernel(key, x, 1.0),
        "wide": lambda key, x: jm.by_label_kernel(key, x, jnp.inf),
        "nearest": jm.nearest,
        "nearest4": partial(jm.nearest, k=4),
        "nearest9": partial(jm.nearest, k=9),
        "transported": partial(jm.transported, k=2),
        "cycle": partial(jm.transported, k=1),
        "salient": lambda key, x: jm.salient_pairs(jnp.abs(x), blur=0.0),
    }
    for name, pair in pairings.items():
        several = np.asarray(jax.jit(jax.vmap(pair, (0, None)))(jax.random.split(KEY, 32), x))
        assert (several[:, missing] == missing).all(), name
        others = np.delete(several, missing, axis=1)
        assert not np.isin(others, missing).any(), name
        if name in ("transported", "cycle", "salient"):
            assert (np.sort(several, axis=1) == np.arange(7)).all(), name
        if name in ("nearest", "nearest4", "nearest9", "cycle", "salient"):
            assert (others != np.delete(np.arange(7), missing)).all(), name
        if name == "nearest9":  # all others, and no more
            assert set(several[:, 0]) == {1, 3, 4, 6}
        one = np.array(x)
        one[1:] = value
        for rows in (one, np.full_like(x, value)):
            assert (pair(KEY, rows) == np.arange(7)).all(), name


def test_around_is_exact_for_any_cycle():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 8, 9):
        for _ in range(8):
            cycle, missing = rng.permutation(n), rng.random(n) < 0.6
            expected = np.arange(n)
            for i in np.flatnonzero(~missing):
                j = cycle[i]
                while missing[j]:
                    j = cycle[j]
                expected[i] = j
            found = _rows.cut_from_cycles(jnp.asarray(cycle, jnp.int32), jnp.asarray(missing))
            np.testing.assert_array_equal(found, expected)


def test_distances_neither_overflow_nor_vanish():
    x = jnp.array([0.0, 5.0, 0.1])
    for scale in (1.0, 1e30, 1e-30):
        assert jm.nearest(KEY, x * scale).tolist() == [2, 2, 0]
        assert jm.by_label_kernel(KEY, x * scale, 1e-3 * scale).tolist() == [0, 1, 2]
        assert sorted(jm.transported(KEY, x * scale, k=1).tolist()) == [0, 1, 2]
    years = jnp.array([2000.0, 2001.0, 2001.0])  # not to be rounded by the bandwidth
    assert set(jm.by_label_kernel(KEY, years, 1e-4)[1:].tolist()) <= {1, 2}
    off = jax.jit(lambda h: jm.by_label_kernel(KEY, years, h))
    for h in (0.0, -1.0, jnp.nan):
        assert off(h).tolist() == [0, 1, 2]
    refused(r"bandwidth of shape \(3,\)", lambda: jm.by_label_kernel(KEY, years, jnp.ones(3)))


@pytest.mark.parametrize("name", ["nearest", "by_label_kernel"])
def test_distances_take_no_more_memory_than_a_few_inputs(name):
    options = {"bandwidth": 1.0} if name == "by_label_kernel" else {}
    x = jax.ShapeDtypeStruct((64, 2048), jnp.float32)
    scale = (jax.ShapeDtypeStruct((), jnp.float32),) if options else ()
    # What runs eagerly as one program, and all of it under jit.
    eager = _distances.by_differences.lower(x, *scale).compile()
    whole = jax.jit(lambda x: getattr(jm, name)(KEY, x, **options)).lower(x).compile()
    for program in (eager, whole):
        assert program.memory_analysis().temp_size_in_bytes <= 3 * 4 * 64 * 2048


# Policies.

HALF = partial(jm.sample_mixup, lam_law=jm.constant(0.5))
POLICY_TUPLES = {
    "ricap": jm.sample_ricap,
    "dirichlet": jm.sample_dirichlet,
    "overlay": lambda key, shape, **options: jm.overlay(
        jm.sample_mixup(key, shape, **options), jm.sample_cutmix(key, shape, **options)
    ),
}


@pytest.mark.parametrize("name", POLICY_TUPLES)
def test_policies_of_tuples(name):
    sampler = POLICY_TUPLES[name]
    x, labels = jax.random.normal(KEY, (*SHAPE, 2)), jnp.eye(B)
    _, key_mix = jax.random.split(KEY)
    for prob in (0.0, 1.0):
        mix = jm.sometimes(sampler, prob)(KEY, SHAPE)
        expected = jm.blend(sampler(key_mix, SHAPE), x) if prob else x
        np.testing.assert_allclose(jm.blend(mix, x), expected, atol=1e-6)
        assert prob or is_off(mix)
    own = jm.own_label(sampler)(KEY, SHAPE)
    np.testing.assert_array_equal(jm.blend_labels(own, labels), labels)
    np.testing.assert_allclose(jm.blend(own, x), jm.blend(sampler(KEY, SHAPE), x), atol=1e-6)
    nested = jm.sometimes(jm.own_label(sampler), 1.0)
    for order in ([HALF, nested], [nested, HALF]):
        _, *keys = jax.random.split(KEY, 3)
        for k in (0, 1):
            mix = jm.one_of(order, (1.0 - k, 0.0 + k))(KEY, SHAPE)
            alone = order[k](keys[k], SHAPE)
            np.testing.assert_allclose(jm.blend(mix, x), jm.blend(alone, x), atol=1e-6)
            both = (jm.blend_labels(m, labels) for m in (mix, alone))
            np.testing.assert_allclose(*both, atol=1e-6)
    each = jm.one_of([HALF, sampler], (0.5, 0.5), per="example")(KEY, SHAPE)
    np.testing.assert_allclose(jm.blend_labels(each, labels).sum(axis=1), 1, atol=1e-6)


def test_layers_stay_hard_and_static_where_all_are():
    key = jax.random.key(1)
    hard = jm.one_of([jm.sample_cutmix, jm.sample_ricap], (0.5, 0.5))(key, SHAPE)
    assert len(hard) == 3 and all(mix.mask.dtype == jnp.bool_ for mix in hard)
    ids = jnp.broadcast_to(jnp.arange(B)[:, None, None], SHAPE)
    assert jm.select(hard, ids).shape == SHAPE
    rolled = partial(jm.sample_cutmix, pairing=jm.roll())
    static = jm.one_of([rolled, jm.sample_ricap], (0.5, 0.5))(key, SHAPE)
    assert [mix.partner.shift for mix in static] == [1, 2, 3]
    assert isinstance(jm.one_of([HALF, HALF], (0.5, 0.5))(key, SHAPE), jm.Mix)


def test_pairs_need_one_mutual_pairing():
    sentence = "per='pair' for mixes with different pairings.*per='example'"
    two = [jm.sample_mixup, partial(jm.sample_cutmix, pairing=jm.neighbours())]
    refused("one_of got " + sentence, lambda: jm.one_of(two, (0.5, 0.5), per="pair")(KEY, SHAPE))
    refused(sentence, lambda: jm.sometimes(jm.sample_ricap, 0.5, per="pair")(KEY, SHAPE))
    index = partial(jm.sample_mixup, pairing=jnp.arange(B))
    refused(sentence, lambda: jm.sometimes(index, 0.5, per="pair")(KEY, SHAPE))
    rolled = partial(jm.sample_mixup, pairing=jm.roll())
    refused("mutually", lambda: jm.sometimes(rolled, 0.5, per="pair")(KEY, SHAPE))
    mix = jm.sometimes(POLICY_TUPLES["overlay"], 0.5, per="pair")(KEY, (64, 2, 2))
    on = np.asarray(mix[0].lam)
    np.testing.assert_array_equal(on, on[::-1])
    assert 0 < (on == 1).sum() < 64


def test_every_preset_takes_what_all_samplers_take():
    for name in PRESETS:
        sampler = partial(jm.preset(name), per="example", pairing=jm.roll(2))
        mix = traced(partial(sampler, KEY, SHAPE))
        assert mix.partner.shift == 2 and mix.mask.shape[0] == B, name
        assert mix.lam.shape == (B,)
    off = partial(jm.preset("cutmix-cifar"), per="example")(KEY, (64, 4, 4))
    assert 10 < int((off.lam == 1).sum()) < 54  # decided for each row too
    with pytest.raises(TypeError, match="apha"):
        jax.eval_shape(lambda: partial(jm.preset("cutmix-cifar"), apha=1.0)(KEY, SHAPE))


def test_smoothing_of_recipes():
    assert jm.preset_smoothing("deit") == 0.1
    assert {n for n in PRESETS if jm.preset_smoothing(n)} == {"deit"}
    with pytest.raises(ValueError, match="'deti'; it needs one of"):
        jm.preset_smoothing("deti")

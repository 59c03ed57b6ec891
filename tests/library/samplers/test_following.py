"""Samplers that follow an array: what they share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.by_hand import MAPS, scenes
from tests.library.statistics import seed


@pytest.mark.slow
def test_guided_mixes_are_the_same_however_they_run():
    ids, lengths = scenes(8), jnp.arange(8)

    def draw(key, ids, lengths):
        return (
            jm.sample_classmix(key, ids, num_classes=5),
            jm.sample_span(key, lengths, 7),
        )

    expected = draw(seed(5), ids, lengths)
    mapped = jax.vmap(draw, (0, None, None))(seed(5)[None], ids, lengths)
    mesh = jax.make_mesh((8,), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    results = [
        jax.jit(draw)(seed(5), ids, lengths),
        jax.tree.map(lambda a: a[0], mapped),
        jax.jit(draw)(seed(5), *jax.device_put((ids, lengths), rows)),
    ]
    for result in results:
        for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    one = jm.sample_classmix(seed(1), ids[:1], num_classes=5)
    np.testing.assert_array_equal(jm.select(one, ids[:1]), ids[:1])


SAMPLERS = (
    jm.sample_saliencymix,
    jm.sample_avoiding_cutmix,
    partial(jm.sample_attentive_cutmix, k=1),
    jm.sample_guidedmixup,
    jm.sample_grafting,
    jm.sample_snapmix,
)


@pytest.mark.parametrize("shape", [(3, 7), (1, 2, 3), (3, 2, 3, 4)], ids=str)
def test_nothing_salient_half_precision_and_any_rank(shape):
    @jax.jit
    def draw(s):
        mixes = []
        for sampler in SAMPLERS:
            gridded = "grafting" in str(sampler) or "attentive" in str(sampler)
            grid = {"grid": tuple(min(n, 2) for n in shape[1:])} if gridded else {}
            mix = sampler(seed(8), s, **grid)
            mixes.append(mix if isinstance(mix, jm.Mix) else mix[0])
        return mixes

    for s in (jnp.zeros(shape, jnp.bfloat16), jnp.ones(shape, jnp.bfloat16)):
        for mix in draw(s):
            assert mix.mask.shape == shape and mix.lam.dtype == jnp.float32
            for share in (np.asarray(mix.lam), np.asarray(mix.mask, np.float32)):
                assert ((share >= 0) & (share <= 1)).all()  # False for NaN


def test_bad_saliency():
    for sampler in SAMPLERS:
        with pytest.raises(ValueError, match="with a spatial axis"):
            sampler(seed(1), jnp.ones(4))
    with pytest.raises(ValueError, match="alpha=-1"):
        jm.sample_snapmix(seed(1), MAPS, alpha=-1.0)
    with pytest.raises(ValueError, match="blur=-2"):
        jm.sample_guidedmixup(seed(1), MAPS, blur=-2.0)

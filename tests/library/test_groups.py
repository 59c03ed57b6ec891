"""Groups of a batch: a draw for each, partners within each, and nothing that leaves its device."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jax_mixup as jm
from tests.library.statistics import KEYS, close, frequencies
from tests.library.test_sharding import IMAGES, KEY, LABELS, compiled, use

GROUPED = {
    "reverse": jm.reverse(groups=4),
    "roll": jm.roll(2, groups=4),
    "index": np.array([[1, 0, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3], [1, 2, 3, 0]], np.int32),
}
grouped = pytest.mark.parametrize("pairing", GROUPED.values(), ids=GROUPED)


@grouped
def test_a_group_shares_its_draw(pairing):
    samplers = [
        partial(jm.sample_mixup, pairing=pairing),
        partial(jm.sample_cutmix, pairing=pairing),
        partial(jm.sample_mixup_or_cutmix, pairing=pairing),
        partial(jm.sample_dirichlet, k=2, pairings=(pairing,)),
        partial(jm.sample_ricap, alpha=1.0, pairings=(pairing, jm.roll(1, 4), pairing)),
        partial(jm.sometimes(jm.sample_mixup, 0.5), pairing=pairing),
        partial(jm.one_of([jm.sample_mixup, jm.sample_cutmix], (0.5, 0.5)), pairing=pairing),
    ]

    @jax.jit
    def all_of_them(keys):
        draws = zip(samplers, keys, strict=True)
        return [sampler(key, (16, 5, 7), per="group") for sampler, key in draws]

    for drawn in all_of_them(jax.random.split(KEY, len(samplers))):
        mix = drawn if isinstance(drawn, tuple) else (drawn,)
        found = np.stack([np.asarray(layer.lam) for layer in mix]).reshape(len(mix), 4, 4)
        assert (found == found[:, :, :1]).all()
        assert len(np.unique(found[0, :, 0])) > 1  # groups draw for themselves
        mask = np.asarray(mix[0].mask)
        mask = mask.reshape(4, 4, *mask.shape[1:])
        assert (mask == mask[:, :1]).all()


def test_what_has_no_groups_is_refused():
    for pairing in (jm.neighbours(), jnp.arange(16)[::-1]):
        for sampler in (jm.sample_mixup, jm.sometimes(jm.sample_mixup, 0.5)):
            with pytest.raises(ValueError, match=r"per='group' got .*; it needs groups: call it"):
                sampler(KEY, (16,), per="group", pairing=pairing)
    with pytest.raises(ValueError, match="different groups; it needs"):
        jm.sample_dirichlet(KEY, (16,), per="group", pairings=(jm.roll(1, 4), jm.roll(1, 2)))


def test_partners_are_at_random_within_their_group():
    whole = lambda draw: lambda key: jm.partner_index(draw(key, 8, groups=2), 8)
    inside = np.kron(np.eye(2), np.ones((4, 4)))
    close(frequencies(whole(jm.permutation), 8), inside / 4)
    close(frequencies(whole(jm.derangement), 8), (inside - np.eye(8)) / 3)
    drawn = np.asarray(jm.permutation(KEYS[0], 64, groups=4))
    assert drawn.shape == (4, 16) and (np.sort(drawn) == np.arange(16)).all()
    assert len(np.unique(drawn, axis=0)) == 4  # each group has a permutation of its own
    for draw in (jm.permutation, jm.derangement):
        for n, groups, why in ((8, 3, "divides"), (8, 8, "two examples"), (8, 0, "int >= 1")):
            with pytest.raises(ValueError, match=why):
                draw(KEY, n, groups=groups)


def test_an_index_within_groups_is_one_of_the_whole():
    index = GROUPED["index"]
    whole = (index + 4 * np.arange(4)[:, None]).reshape(16)
    np.testing.assert_array_equal(jm.partner_index(index, 16), whole)
    x, ids = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32), jnp.arange(16)
    local, flat = (jm.Mix(jnp.asarray(p), jnp.ones(16), jnp.full(16, 0.3)) for p in (index, whole))
    np.testing.assert_array_equal(jm.take_partner(local, x), x[whole])
    np.testing.assert_array_equal(jm.take_partner(local, ids), whole)
    for verb in (
        lambda mix: jm.blend_labels(mix, ids, num_classes=16),
        lambda mix: jm.keep(mix, ids != 3).lam,
        lambda mix: jm.restore_energy(mix, x),
    ):
        np.testing.assert_array_equal(verb(local), verb(flat))
    with pytest.raises(ValueError, match=r"shape \(16, 1\).*\(G, B / G\)"):
        jm.take_partner(jm.Mix(whole[:, None], jnp.ones(1), jnp.ones(16)), x)


def test_an_index_out_of_range_stays_one():
    """It gives NaN, as in the whole batch, also where the index is written for the whole batch."""
    local = jnp.full((2, 8), 9)
    for index in (local, jm.partner_index(local, 16)):
        mix = jm.Mix(index, jnp.ones(1), jnp.ones(16))
        assert np.isnan(jm.take_partner(mix, jnp.ones((16, 3)))).all()


LOCAL = {
    "permutation": lambda key: jm.permutation(key, 64, groups=8),
    "derangement": lambda key: jm.derangement(key, 64, groups=8),
    "weights": lambda key: jm.by_weight(key, np.eye(64) < 1, groups=8),
    "classes": lambda key: jax.vmap(jm.across_class)(
        jax.random.split(key, 8), jnp.arange(64).reshape(8, 8) % 3
    ),
}


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("draw", LOCAL.values(), ids=LOCAL)
def test_partners_within_groups_stay_on_their_devices(axis_type, draw):
    def step(key, images, labels):
        return use(jm.sample_cutmix, draw(key), "group", key, images, labels)

    collectives, results = compiled(axis_type, step, IMAGES, LABELS)
    assert collectives == set()
    for found, expected in zip(results, jax.jit(step)(KEY, IMAGES, LABELS), strict=True):
        found, expected = (np.asarray(a, np.float32) for a in (found, expected))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_policy_keeps_partners_on_their_devices():
    policy = jm.one_of([jm.sample_mixup, jm.sample_cutmix], (0.5, 0.5))

    def step(key, images):
        options = {"per": "example", "pairing": jm.permutation(key, 64, groups=8)}
        return jm.blend(policy(key, images.shape[:-1], **options), images, dtype=jnp.float32)

    collectives, found = compiled(AxisType.Auto, step, IMAGES)
    assert collectives == set()
    np.testing.assert_allclose(found, jax.jit(step)(KEY, IMAGES), rtol=1e-6)


DRAWS = {  # all draw for each example, and keep partners on their devices
    "beta": partial(jm.sample_mixup, lam_law=jm.beta(1.2, 0.2), pairing=jm.reverse(8)),
    "folded_beta": partial(jm.sample_mixup, lam_law=jm.folded_beta(0.2), pairing=jm.reverse(8)),
    "dirichlet": partial(jm.sample_dirichlet, groups=8, sort=True),
    "ricap": partial(jm.sample_ricap, groups=8),
    "deit": jm.preset("deit", shards=8),
    "big_vision-light2": jm.preset("big_vision-light2", shards=8),
}


@pytest.mark.parametrize("sampler", DRAWS.values(), ids=DRAWS)
def test_draws_for_each_example_add_no_collective(sampler):
    def step(key, images):
        return jm.blend(sampler(key, images.shape[:-1], per="example"), images, dtype=jnp.float32)

    collectives, _ = compiled(AxisType.Auto, step, IMAGES)
    assert collectives == set()

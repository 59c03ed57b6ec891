"""Policies and schedules of mixing: their probabilities, tuples of mixes, and errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.samplers.all_samplers import SHAPE, B, is_off, refused
from tests.library.statistics import seed, within

KEY = jax.random.key(0)
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
HALF = partial(jm.sample_mixup, lam_law=jm.constant(0.5))


def test_policies_draw_with_their_probabilities():
    keys = jax.random.split(seed("policy"), 4000)
    half, whole = (partial(jm.sample_mixup, lam_law=jm.constant(v)) for v in (0.5, 0.25))
    policy = jm.one_of([half, whole, jm.sometimes(half, 0.0)], (0.2, 0.5, 0.3))
    lam = np.asarray(jax.jit(jax.vmap(lambda key: policy(key, (2,)).lam))(keys))
    assert (lam[:, 0] == lam[:, 1]).all()  # one choice for the batch
    for value, p in ((0.5, 0.2), (0.25, 0.5), (1.0, 0.3)):
        within(lam[:, 0] == value, p)
    each = jm.one_of([half, whole], (0.2, 0.8), per="example")(keys[0], (20_000,)).lam
    within(each == 0.5, 0.2)
    pairs = np.asarray(jm.one_of([half, whole], (0.2, 0.8), per="pair")(keys[0], (20_000,)).lam)
    np.testing.assert_array_equal(pairs, pairs[::-1])
    on = jm.sometimes(half, 0.3, per="example")(keys[1], (20_000,)).lam < 1
    within(on, 0.3)  # and not 0.09, as where a row also waits for its partner


def test_probabilities_of_zero_and_one_are_certain():
    half, quarter = (partial(jm.sample_mixup, lam_law=jm.constant(v)) for v in (0.5, 0.25))
    for probs, expected in (((1.0, 0.0), 0.5), ((0.0, 1.0), 0.25), (jnp.array([0.0, 1.0]), 0.25)):
        lam = jm.one_of([half, quarter], probs, per="example")(seed("sure"), (5000,)).lam
        assert (lam == expected).all()


def theirs(epoch):
    """When the authors' 100 epochs mix."""
    if epoch >= 90:
        return (100 - epoch) / (100 - 90)
    return float(epoch % 2 == 0) if epoch >= 60 else 1.0


def test_the_schedule_is_theirs():
    steps = jnp.arange(700)
    schedule = jax.jit(jax.vmap(partial(jm.hesitation, steps=700, turn=7)))
    expected = [theirs(step // 7) for step in range(700)]
    np.testing.assert_allclose(schedule(steps), expected, atol=1e-6)
    np.testing.assert_array_equal(schedule(steps + 700), 0)

    def lam(key, step):
        prob = jm.hesitation(step, steps=100, turn=1)
        return jm.sometimes(partial(jm.sample_mixup, alpha=2.0), prob)(key, (2,)).lam[0]

    lams = jax.jit(jax.vmap(jax.vmap(lam, (0, None)), (None, 0)))(
        jax.random.split(KEY, 50), jnp.array([3, 61, 100])
    )
    np.testing.assert_array_equal((lams == 1).sum(axis=1), [0, 50, 50])


def test_bad_schedules():
    for options in ({"steps": 0, "turn": 1}, {"steps": 9, "turn": 0}):
        with pytest.raises(ValueError, match="needs ints >= 1"):
            jm.hesitation(0, **options)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_steps_of_any_width_are_counted(dtype):
    schedule = partial(jm.hesitation, steps=1000, turn=300)
    assert schedule(jnp.asarray(100, dtype)) == schedule(100)


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

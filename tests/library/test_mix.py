"""Mixes as users make them: index arrays, dtypes and shapes of the fields, mixes that were cut."""

import dataclasses
from inspect import unwrap  # past the shape checks, which only tests have

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import handmade

KEY = jax.random.key(0)
MIX = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))


def test_index_arrays_of_another_rank_are_refused_everywhere():
    column = jnp.array([[1], [0]])
    hand = handmade(column, MIX.mask, MIX.lam)
    for call in (
        lambda: unwrap(jm.sample_mixup)(KEY, (2,), pairing=column),
        lambda: jm.blend(hand, jnp.ones((2, 5))),
        lambda: jm.take_partner(hand, jnp.ones((2, 5))),
        lambda: jm.blend_labels(hand, jnp.ones((2, 5))),
        lambda: jm.resize_mix(hand, (2,)),
        lambda: unwrap(jm.partner_index)(column, 2),
    ):
        with pytest.raises(ValueError, match=r"of shape \(2, 1\).*one index for each example"):
            call()


@pytest.mark.parametrize("pairing", [jm.reverse(), jm.roll(), jm.neighbours()], ids=str)
def test_a_mix_that_was_cut_is_refused(pairing):
    mix = jm.sample_mixup(KEY, (16,), per="example", pairing=pairing)
    cut = jax.tree.map(lambda a: a[:4], mix)
    for call in (
        lambda: jm.blend(cut, jnp.ones(4)),
        lambda: jm.blend_labels(cut, jnp.ones(4)),
        lambda: jm.pair_loss(cut, lambda o, t: o, jnp.ones(4), jnp.ones(4)),
    ):
        with pytest.raises(ValueError, match=r"drawn for 16 examples, with 4.*draw a mix"):
            call()
    alone = dataclasses.replace(cut, partner=jm.partner_index(pairing, 16)[:4])
    x = jnp.arange(1.0, 5.0)
    outside = np.asarray(alone.partner) >= 4
    assert jnp.isnan(jm.take_partner(alone, x)[outside]).all()  # seen, not silently another row
    jax.vmap(lambda key: jm.blend(jm.sample_mixup(key, (4,), pairing=pairing), x))(
        jax.random.split(KEY, 2)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, jnp.bfloat16])
def test_fields_of_a_handmade_mix_may_be_numpy_of_any_float_dtype(dtype):
    mix = handmade(np.array([1, 0], np.int64), np.array([0.75], dtype), np.full(2, 0.75, dtype))
    np.testing.assert_array_equal(jm.blend(mix, jnp.array([0.0, 4.0])), [1, 3])
    kept = jm.keep(mix, jnp.ones(2, bool))
    assert kept.mask.dtype == kept.lam.dtype == jnp.float32
    assert kept.partner.dtype == jnp.int32


def test_masks_that_are_no_masks_are_refused():
    x = jnp.ones((4, 4, 4, 3))
    bytes_ = jm.Mix(jm.reverse(), jnp.full((1, 4, 4), 255, jnp.uint8), jnp.ones(4))
    with pytest.raises(TypeError, match=r"mask has dtype uint8.*write mask > 0"):
        jm.blend(bytes_, x)
    flat = jm.Mix(jm.reverse(), jnp.ones((4, 4)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"write mask\[None\]"):
        jm.blend(flat, x)
    other = jm.Mix(jm.reverse(), jnp.ones((6, 4)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"mask has shape \(6, 4\).*mask\[None\]"):
        jm.blend(other, x)
    per_row = jm.Mix(jm.reverse(), jnp.ones((4, 5)), jnp.ones(4))
    assert jm.blend(per_row, jnp.ones((4, 5, 6, 3))).shape == (4, 5, 6, 3)

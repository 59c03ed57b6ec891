"""Attention within a source, and tokens put back."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(0)
B, GRID = 5, (3, 4)
HARD = np.random.default_rng(0).random((B, *GRID)) < 0.5
UNIQUE = (
    np.arange(B * 12, dtype=np.int32).reshape(B, *GRID) + 1
)  # each token says where it comes from


def hand(mask, pairing):
    return jm.Mix(pairing, jnp.asarray(mask), jnp.full(B, 0.5))


MIXES = {
    "shared": hand(HARD[:1], jm.reverse()),  # with an example that is its own partner
    "roll": hand(HARD, jm.roll(2)),
    "neighbours": hand(HARD, jm.neighbours()),
    "cutmix": jm.sample_cutmix(KEY, (B, *GRID), per="example"),
    "index": hand(HARD, jnp.array([2, 0, 1, 3, 4])),
    "popular": hand(HARD, jnp.array([1, 1, 1, 0, 0])),
}
mixes = pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)


@mixes
def test_same_source_by_hand(mix):
    source = (np.asarray(jm.select(mix, UNIQUE)).reshape(B, -1) - 1) // 12
    found = np.asarray(jax.jit(jm.same_source)(mix))
    assert found.shape == (B, 12, 12) and found.dtype == bool
    np.testing.assert_array_equal(found, source[:, :, None] == source[:, None])


def test_same_source_of_several_and_with_extra_tokens():
    mix = jm.sample_ricap(KEY, (B, *GRID), lam_law=jm.constant(0.5))
    source = (np.asarray(jm.select(mix, UNIQUE)).reshape(B, -1) - 1) // 12
    found = np.asarray(jm.same_source(mix, extra=2))
    assert len(np.unique(source[0])) == 4
    np.testing.assert_array_equal(found[:, 2:, 2:], source[:, :, None] == source[:, None])
    assert found.shape == (B, 14, 14) and found[:, :2].all() and found[:, :, :2].all()


@mixes
def test_unmix_by_hand(mix):
    """Each token that some mixed example has is found, and nothing else."""
    tokens = np.stack([UNIQUE, -UNIQUE], axis=-1)
    mixed = {"tokens": jm.select(mix, tokens), "ones": jnp.ones((B, *GRID), jnp.bfloat16)}
    back = jax.jit(jm.unmix)(mix, mixed)
    assert back["ones"].dtype == jnp.bfloat16 and back["tokens"].dtype == tokens.dtype
    partner = np.asarray(jm.partner_index(mix.partner, B))
    mask = np.broadcast_to(mix.mask, (B, *GRID))
    found = mask.copy()
    for i in range(B):
        if partner[i] == i:
            found[i] = True
        elif (partner == i).any():
            found[i] |= ~mask[np.flatnonzero(partner == i)[-1]]
    np.testing.assert_array_equal(back["tokens"], np.where(found[..., None], tokens, 0))
    np.testing.assert_array_equal(back["ones"].astype(jnp.float32), found)


@pytest.mark.parametrize("pairing", [jm.reverse(), jm.roll(), jm.reverse(groups=2)], ids=str)
def test_under_one_mask_every_token_comes_back(pairing):
    x = jax.random.normal(KEY, (8, 6, 6, 3))
    for index in (pairing, jm.partner_index(pairing, 8)):
        mix = jm.sample_cutmix(KEY, (8, 6, 6), lam_law=jm.constant(0.5), pairing=index)
        np.testing.assert_array_equal(jm.unmix(mix, jm.select(mix, x)), x)
    if pairing.rule == "reverse":
        np.testing.assert_array_equal(jm.unmix(mix, x), jm.select(mix, x))


def test_tokens_of_one_picture_do_not_know_of_the_other():
    """Attention within a source, put back, is the same whatever the partner is."""
    mix = jm.sample_gridmix(KEY, (4, 3, 3), lam_law=jm.constant(0.5), exact=True, per="pair")

    def attended(x):
        tokens = jm.select(mix, x).reshape(4, 9, 1, 5)
        mask = jm.same_source(mix)[:, None]
        h = jax.nn.dot_product_attention(tokens, tokens, tokens, mask=mask)
        return jm.unmix(mix, h.reshape(x.shape))

    x = jax.random.normal(KEY, (4, 3, 3, 5))
    other = x.at[3].add(jax.random.normal(KEY, (3, 3, 5)))
    found, changed = jax.jit(attended)(x), jax.jit(attended)(other)
    np.testing.assert_allclose(found[:3], changed[:3], rtol=1e-6)
    assert (found[3] != changed[3]).all()


def test_mistakes():
    same_source, unmix = unwrap(jm.same_source), unwrap(jm.unmix)
    soft, flat = jm.sample_mixup(KEY, (B,)), hand(HARD[:, 0, 0], jm.reverse())
    hard = MIXES["roll"]
    for verb in (lambda mix: same_source(mix), lambda mix: unmix(mix, UNIQUE)):
        with pytest.raises(TypeError, match=r"float32 mask; it needs a bool mask of tokens"):
            verb(soft)
        with pytest.raises(ValueError, match=r"mask of shape \(5,\); it needs the tokens"):
            verb(flat)
    with pytest.raises(ValueError, match="extra=-1"):
        same_source(hard, extra=-1)
    with pytest.raises(TypeError, match="needs one mix"):
        jm.unmix((hard, hard), UNIQUE)
    with pytest.raises(ValueError, match="a mix of 5 examples"):
        unmix(hard, UNIQUE[:4])
    with pytest.raises(ValueError, match="positions right after the batch"):
        unmix(hard, UNIQUE.reshape(B, -1))

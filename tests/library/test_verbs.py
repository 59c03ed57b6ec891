"""Verbs on mixes made by hand, against NumPy."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jax_mixup as jm
from tests.library.x64 import enable_x64

KEY = jax.random.key(0)
IGNORE = 255
P = np.array([2, 0, 1])
SOFT = jm.Mix(jnp.array(P), jnp.array([1.0, 0.25, 0.5]), jnp.array([0.9, 0.3, 0.5]))
HARD = jm.Mix(
    jnp.array(P),
    jnp.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], bool),
    jnp.array([0.5, 0.25, 1.0]),
)


def test_blend_by_hand():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    m = np.array([[1], [0.25], [0.5]], np.float32)
    np.testing.assert_allclose(jm.blend(SOFT, x), m * x + (1 - m) * x[P])
    m = np.asarray(HARD.mask)
    np.testing.assert_array_equal(jm.blend(HARD, x), np.where(m, x, x[P]))
    other = -x
    m = np.array([[1], [0.25], [0.5]], np.float32)
    np.testing.assert_allclose(jm.blend(SOFT, x, other=other), m * x - (1 - m) * x)


def test_of_an_odd_batch_reversed_the_middle_row_is_its_own_partner():
    mix = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(5, 0.25))
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.testing.assert_allclose(jm.blend(mix, x), 0.25 * x + 0.75 * x[::-1])
    np.testing.assert_array_equal(jm.blend(mix, x)[2], x[2])
    y = np.eye(5, dtype=np.float32)
    labels = jm.blend_labels(mix, jnp.arange(5), num_classes=5)
    np.testing.assert_allclose(labels, 0.25 * y + 0.75 * y[::-1])


def test_channels_follow_the_mask():
    x = jax.random.normal(KEY, (3, 4, 2, 5))
    m = np.asarray(HARD.mask)[:, :, None, None]
    np.testing.assert_array_equal(jm.blend(HARD, x), np.where(m, x, x[P]))


def test_what_a_hard_mask_hides_has_no_influence():
    x = jnp.array([[1.0, jnp.nan, 3.0, jnp.inf], [4, 5, 6, jnp.nan], [jnp.nan, 8, 9, 1]])
    np.testing.assert_array_equal(jm.blend(HARD, x), np.where(HARD.mask, x, x[P]))

    assert bool(jnp.isfinite(jax.grad(lambda x: jm.blend(HARD, x)[0, 0])(x)).all())


@pytest.mark.parametrize("m", [0.0, 1.0])
def test_a_soft_mask_of_zeros_and_ones_copies_exactly(m):
    x = jax.random.normal(KEY, (3, 7)) * 1e9
    mix = dataclasses.replace(SOFT, mask=jnp.full(3, m))
    np.testing.assert_array_equal(jm.blend(mix, x), x if m else x[P])


def test_select_keeps_ids():
    ids = jnp.array([[1, 2, 3, 4], [5, IGNORE, 7, 8], [9, 10, 11, IGNORE]], jnp.uint8)
    out = jm.select(HARD, ids)
    chex.assert_type(out, jnp.uint8)
    np.testing.assert_array_equal(out, np.where(HARD.mask, ids, ids[P]))
    np.testing.assert_array_equal(jm.select(HARD, ids, other=ids * 0), np.where(HARD.mask, ids, 0))


def test_wide_dtypes_are_not_narrowed():
    z = jnp.array([1 + 2j, 3 - 1j, 5j], jnp.complex64)
    m = np.asarray(SOFT.mask)
    np.testing.assert_allclose(jm.blend(SOFT, z), m * np.asarray(z) + (1 - m) * np.asarray(z)[P])
    with enable_x64(True):
        x = jnp.array([1.0, 1.0 + 1e-12, 1.0], jnp.float64)
        assert float(jm.blend(SOFT, x)[1]) == pytest.approx(1.0 + 0.25e-12, abs=1e-15)


def test_wide_dtypes_are_not_narrowed_between_the_mixes_of_a_chain():
    chain = (SOFT, dataclasses.replace(SOFT, partner=jnp.array(P[::-1])), SOFT)
    z = np.array([1 + 2j, 3 - 1j, 5j], np.complex64)
    x = np.array([1.0, 1.0 + 1e-12, 1.0 - 3e-12])

    def by_hand(x):
        out, m = x, np.asarray(SOFT.mask, np.float64)
        for mix in chain:
            out = m * out + (1 - m) * x[np.asarray(mix.partner)]
        return out

    mixed = jm.blend(chain, jnp.asarray(z))
    chex.assert_type(mixed, jnp.complex64)
    np.testing.assert_allclose(mixed, by_hand(z), rtol=1e-6)
    with enable_x64(True):
        mixed = jm.blend(chain, jnp.asarray(x))
        chex.assert_type(mixed, jnp.float64)
        np.testing.assert_allclose(np.asarray(mixed) - 1, by_hand(x) - 1, atol=1e-15)


def test_labels_by_hand():
    ids = jnp.array([0, 3, 1])
    lam = np.asarray(SOFT.lam)[:, None]
    y = np.eye(4, dtype=np.float32)[np.asarray(ids)]
    expected = lam * y + (1 - lam) * y[P]
    np.testing.assert_allclose(jm.blend_labels(SOFT, ids, num_classes=4), expected)
    np.testing.assert_allclose(jm.blend_labels(SOFT, y), expected)
    smooth = 0.9 * y + 0.1 / 4
    np.testing.assert_allclose(
        jm.blend_labels(SOFT, ids, num_classes=4, smoothing=0.1),
        lam * smooth + (1 - lam) * smooth[P],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        jm.blend_labels(SOFT, y, smoothing=0.1), lam * smooth + (1 - lam) * smooth[P], rtol=1e-6
    )
    ignored = jm.blend_labels(SOFT, jnp.array([-1, -1, 9]), num_classes=4, smoothing=0.1)
    assert (ignored == 0).all()
    traced = jax.jit(lambda s: jm.blend_labels(SOFT, ids, num_classes=4, smoothing=s))
    np.testing.assert_allclose(traced(0.0), expected)


def test_targets_and_weights_of_any_rank():
    lam = np.asarray(SOFT.lam)
    tree = {"y": jnp.arange(6.0).reshape(3, 2), "weight": jnp.array([1.0, 2.0, 0.0])}
    out = jm.blend_labels(SOFT, tree)
    y, w = (np.asarray(tree[name]) for name in ("y", "weight"))
    np.testing.assert_allclose(out["y"], lam[:, None] * y + (1 - lam[:, None]) * y[P])
    np.testing.assert_allclose(out["weight"], lam * w + (1 - lam) * w[P])
    both = jm.blend_labels(SOFT, {"ids": jnp.array([0, 1, 2]), "w": jnp.ones(3)}, num_classes=3)
    chex.assert_shape((both["ids"], both["w"]), [(3, 3), (3,)])


def by_hand(lam, own, other):
    lam = np.asarray(lam).reshape(-1, *[1] * (own.ndim - 1))
    return lam * np.asarray(own) + (1 - lam) * np.asarray(other)


def test_pair_loss_bce_and_mse():
    logits, multi_hot = jax.random.normal(KEY, (3, 5)), jnp.eye(3, 5) + jnp.eye(3, 5, 1)
    mixed = jm.blend_labels(SOFT, multi_hot)

    def value(pairs):
        loss = optax.sigmoid_binary_cross_entropy
        return lambda o: (
            jm.pair_loss(SOFT, loss, o, multi_hot) if pairs else loss(o, mixed)
        ).mean()

    a, b = (jax.value_and_grad(value(pairs))(logits) for pairs in (True, False))
    chex.assert_trees_all_close(a, b, rtol=1e-6)

    out, target = jnp.array([0.1, 0.7, 2.0]), jnp.array([1.0, -1.0, 4.0])
    squared = lambda o, t: (o - t) ** 2
    pairs = jm.pair_loss(SOFT, squared, out, target)
    np.testing.assert_allclose(
        pairs, by_hand(SOFT.lam, (out - target) ** 2, (out - target[P]) ** 2)
    )
    # The squared error is not linear in the target: the two differ by λ(1-λ)(t - t')², which no
    # output can change, so that gradients agree.
    dense = squared(out, jm.blend_labels(SOFT, target))
    spread = SOFT.lam * (1 - SOFT.lam) * (target - target[P]) ** 2
    np.testing.assert_allclose(pairs, dense + spread, rtol=1e-5)
    grad = lambda f: jax.grad(lambda o: f(o).sum())(out)
    np.testing.assert_allclose(
        grad(lambda o: jm.pair_loss(SOFT, squared, o, target)),
        grad(lambda o: squared(o, jm.blend_labels(SOFT, target))),
        rtol=1e-5,
    )


def cross_entropy(logits, ids):
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(ids, 0))


def valid(_, ids):
    return (ids != -1).astype(jnp.float32)


def masked(logits, ids):
    return cross_entropy(logits, ids) * valid(logits, ids)


@pytest.mark.parametrize("hard", [True, False])
def test_segmentation_with_an_ignore_id_and_one_normaliser(hard):
    shape = (4, 6, 5)
    sample = jm.sample_cutmix if hard else jm.sample_mixup
    mix = sample(jax.random.key(4), shape, per="example")
    ids = jax.random.randint(KEY, shape, -1, 3)
    logits = jax.random.normal(KEY, (*shape, 3))
    loss = jm.pair_loss(mix, masked, logits, ids, by="mask")
    count = jm.pair_loss(mix, valid, logits, ids, by="mask")

    m = np.asarray(mix.mask).reshape(4, *([6, 5] if hard else [1, 1])).astype(np.float32)
    m = np.broadcast_to(m, shape)
    numerator, denominator = 0.0, 0.0
    log_p, ids_np = np.asarray(jax.nn.log_softmax(logits)), np.asarray(ids)
    for i in range(4):
        for weight, target in ((m[i], ids_np[i]), (1 - m[i], ids_np[3 - i])):
            for r, c in np.ndindex(6, 5):
                if target[r, c] != -1:
                    numerator -= weight[r, c] * log_p[i, r, c, target[r, c]]
                    denominator += weight[r, c]
    np.testing.assert_allclose(loss.sum(), numerator, rtol=1e-5)
    np.testing.assert_allclose(count.sum(), denominator, rtol=1e-5)
    if hard:  # the same as the plain loss on the selected ids: ignored positions stay ignored
        selected = jm.select(mix, ids)
        np.testing.assert_allclose(loss, masked(logits, selected), rtol=1e-6)
        np.testing.assert_array_equal(count, valid(None, selected))
    else:  # zero rows for ignored ids: cross-entropy to the blended one-hot map
        soft = jm.blend(mix, jax.nn.one_hot(ids, 3))
        np.testing.assert_allclose(loss, -(soft * log_p).sum(-1), rtol=1e-4, atol=1e-6)


def test_losses_may_be_trees_and_keep_their_positions():
    losses = jm.pair_loss(
        SOFT, lambda o, t: {"a": o * t, "b": [o + t]}, jnp.ones(3), jnp.arange(3.0)
    )
    t = np.arange(3.0)
    np.testing.assert_allclose(losses["a"], by_hand(SOFT.lam, t, t[P]), rtol=1e-6)
    per_token = jm.pair_loss(SOFT, lambda o, t: t, None, jnp.ones((3, 4)))
    chex.assert_shape(per_token, (3, 4))


def test_mixed_accuracy_of_the_first_few():
    logits = np.random.default_rng(2).integers(0, 5, (40, 7)).astype(np.float32)  # with ties
    labels = np.random.default_rng(3).integers(0, 7, 40)
    lam = np.linspace(0, 1, 40, dtype=np.float32)
    mix = jm.Mix(jm.roll(3), jnp.asarray(lam), jnp.asarray(lam))
    order = np.argsort(-logits, axis=1, kind="stable")  # of equal ones the first
    for top in (1, 2, 5, 7):
        hit = lambda ids, top=top: (order[:, :top] == ids[:, None]).any(axis=1)
        expected = lam * hit(labels) + (1 - lam) * hit(np.roll(labels, 3))
        found = jm.mixed_accuracy(mix, logits, labels, top=top)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found, 1, rtol=1e-6)
    for top in (0, 8):
        with pytest.raises(ValueError, match=f"top={top}; it needs an int from 1 to 7"):
            jm.mixed_accuracy(mix, logits, labels, top=top)


def test_mixed_accuracy_by_hand():
    logits, labels = jnp.eye(3), jnp.array([0, 0, 2])
    own, other = np.array([1.0, 0, 1]), np.array([0.0, 0, 0])  # partners' labels: 2, 0, 0
    expected = by_hand(SOFT.lam, own, other)
    np.testing.assert_allclose(jm.mixed_accuracy(SOFT, logits, labels), expected)
    np.testing.assert_allclose(jm.mixed_accuracy(SOFT, logits, jax.nn.one_hot(labels, 3)), expected)
    perfect = jm.blend_labels(SOFT, labels, num_classes=3)  # at most the larger share
    best = np.maximum(SOFT.lam, 1 - SOFT.lam)
    best = np.where(np.asarray(labels) == np.asarray(labels)[P], 1, best)
    np.testing.assert_allclose(jm.mixed_accuracy(SOFT, perfect, labels), best, rtol=1e-6)
    dense = jm.mixed_accuracy(SOFT, jnp.zeros((3, 4, 5)), jnp.zeros((3, 4), jnp.int32))
    np.testing.assert_allclose(dense, np.ones((3, 4)))
    # Soft labels at each position: as many positions as classes, so that no axis stands out.
    soft = np.random.default_rng(0).random((3, 4, 4), np.float32)
    said = np.where(np.arange(4)[None, :, None] < 2, soft, soft[P])  # right of the one, then other
    hits = [said.argmax(-1) == soft[rows].argmax(-1) for rows in (np.arange(3), P)]
    assert all(0 < hit.sum() < hit.size for hit in hits)
    found = jm.mixed_accuracy(SOFT, jnp.asarray(said), soft)
    np.testing.assert_allclose(found, by_hand(SOFT.lam, *hits))


@pytest.mark.parametrize("new", [(4, 6), (2, 3), (3, 4), (8, 12), (5, 7), (1, 1), (4, 3)], ids=str)
def test_resize_mix_averages_areas(new):
    mask = jax.random.bernoulli(KEY, 0.5, (3, 4, 6))
    lam = mask.astype(jnp.float32).mean((1, 2))
    mix = jm.resize_mix(jm.Mix(jm.reverse(), mask, lam), new)
    fine = np.repeat(np.repeat(np.asarray(mask, float), new[0], axis=1), new[1], axis=2)
    expected = fine.reshape(3, new[0], 4, new[1], 6).mean(axis=(2, 4))
    np.testing.assert_allclose(np.asarray(mix.mask, np.float32), expected, atol=1e-6)
    hard = new[0] % 4 == 0 and new[1] % 6 == 0
    assert mix.mask.dtype == (jnp.bool_ if hard else jnp.float32)
    np.testing.assert_allclose(np.asarray(mix.mask, np.float32).mean((1, 2)), lam, rtol=1e-5)
    np.testing.assert_array_equal(mix.lam, lam)


def test_resize_leaves_masks_without_positions():
    assert jm.resize_mix(SOFT, (7, 7)) is SOFT


def test_resize_in_one_and_three_dimensions():
    for spatial, new in (((8,), (4,)), ((4, 6, 8), (2, 3, 4))):
        mix = jm.sample_cutmix(KEY, (2, *spatial), per="example")
        half = jm.resize_mix(mix, new)
        features = jm.blend(half, jnp.ones((2, *new, 5)))
        np.testing.assert_allclose(features, 1.0, rtol=1e-6)
        np.testing.assert_allclose(half.mask.reshape(2, -1).mean(1), mix.lam, rtol=1e-5)


def test_keep_protects_padding_and_whoever_meets_it():
    mix = jm.sample_cutmix(KEY, (5, 8), alpha=1.0, lam_law=jm.constant(0.5), box="inside")
    real = jnp.array([True, True, True, False, True])  # row 3 is padding, the partner of row 1
    kept = jm.keep(mix, real)
    np.testing.assert_array_equal(kept.lam, [0.5, 1, 0.5, 1, 0.5])
    x = jnp.where(real[:, None], jnp.arange(40.0).reshape(5, 8), jnp.nan)
    mixed = jm.blend(kept, x)
    assert bool(jnp.isfinite(mixed[real]).all())
    np.testing.assert_array_equal(mixed[1], x[1])
    assert jm.select(kept, jnp.ones((5, 8), jnp.int32)).dtype == jnp.int32


def test_recipes_are_the_three_verbs():
    x, y = jax.random.normal(KEY, (6, 8, 8, 3)), jnp.arange(6)
    for recipe, sampler in (
        (jm.mixup, jm.sample_mixup),
        (jm.cutmix, jm.sample_cutmix),
        (jm.mixup_or_cutmix, jm.sample_mixup_or_cutmix),
    ):
        options = {"per": "pair", "pairing": jm.neighbours()}
        images, labels = recipe(KEY, x, y, num_classes=6, smoothing=0.1, **options)
        mix = sampler(KEY, x.shape[:-1], **options)
        np.testing.assert_array_equal(images, jm.blend(mix, x))
        np.testing.assert_array_equal(labels, jm.blend_labels(mix, y, num_classes=6, smoothing=0.1))
    bf16, _ = jm.cutmix(KEY, {"a": x.astype(jnp.uint8)}, y, num_classes=6, dtype=jnp.bfloat16)
    chex.assert_type(bf16["a"], jnp.bfloat16)
    table, target = jm.mixup(KEY, x[:, 0, 0], x[:, 0, 0, 0], alpha=0.4)
    chex.assert_shape((table, target), [(6, 3), (6,)])


def test_masks_of_policies():
    soft, hard = jm.sample_mixup, jm.sample_cutmix
    policy = jm.one_of([hard, jm.sometimes(hard, 0.5)], (0.5, 0.5))
    assert policy(KEY, (4, 6, 6)).mask.dtype == jnp.bool_  # so that select works
    both = jm.one_of([soft, policy], (0.5, 0.5))(KEY, (4, 6, 6))
    assert both.mask.dtype == jnp.float32 and both.mask.shape == (1, 6, 6)
    plain = jm.one_of([soft, jm.sometimes(soft, 0.5)], (0.5, 0.5))(KEY, (4, 6, 6))
    assert plain.mask.shape == (1,)  # no positions: it still applies to features of any shape


def test_a_pair_is_mixed_together_or_left_together():
    sampler = partial(jm.sample_cutmix, lam_law=jm.constant(0.5), box="inside")
    for policy in (
        jm.sometimes(sampler, 0.5, per="pair"),
        jm.one_of([sampler, partial(jm.sample_mixup, alpha=0.0)], (0.5, 0.5), per="pair"),
    ):
        mix = policy(KEY, (64, 4))
        mixed = np.asarray(mix.lam) < 1
        np.testing.assert_array_equal(mixed, mixed[::-1])  # the partners
        np.testing.assert_array_equal(mix.mask, mix.mask[::-1])
        assert 16 < mixed.sum() < 48


def test_policies_mix_pairings():
    samplers = [
        lambda key, shape: jm.sample_mixup(key, shape, pairing=jm.roll(), lam_law=jm.constant(0.0)),
        lambda key, shape: jm.sample_mixup(key, shape, lam_law=jm.constant(0.0)),
    ]
    mix = jm.one_of(samplers, (0.5, 0.5), per="example")(KEY, (64,))
    found = np.asarray(jm.blend(mix, jnp.arange(64.0)))
    i = np.arange(64)
    rolled, reversed_ = found == (i - 1) % 64, found == 63 - i
    assert (rolled | reversed_).all() and 10 < rolled.sum() < 54


def test_a_mix_is_a_tree():
    mix = jm.sample_cutmix(KEY, (4, 8, 8))
    assert len(jax.tree.leaves(mix)) == 2  # the static pairing holds no arrays
    assert len(jax.tree.leaves(SOFT)) == 3
    doubled = jax.tree.map(lambda a: a, mix)
    assert doubled.partner == mix.partner
    with pytest.raises(dataclasses.FrozenInstanceError):
        mix.lam = None
    assert set(vars(jm.Mix)) & {"__post_init__"} == set()

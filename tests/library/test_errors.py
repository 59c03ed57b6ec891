"""Each mistake has one sentence, raised while tracing: what came, what is needed, what to call."""

from functools import partial
from inspect import unwrap  # past the shape checks, which only tests have

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jax_mixup as jm
from tests.library.by_hand import handmade

KEY = jax.random.key(0)
SOFT = jm.sample_mixup(KEY, (4,))
HARD = jm.sample_cutmix(KEY, (4, 8, 8))
PAIRED = partial(jm.sample_mixup, KEY, (6,))
F = jnp.zeros((4, 8, 8, 3))
IDS = jnp.arange(4)
STACKED = jax.vmap(lambda key: jm.sample_mixup(key, (4,)))(jax.random.split(KEY, 2))


def mean_loss(o, t):
    return jnp.mean(o * t)


MISTAKES = {
    "ids-without-classes": (
        lambda: jm.blend_labels(SOFT, IDS),
        ValueError,
        "num_classes=K.*pair_loss",
    ),
    "integers": (lambda: jm.blend(SOFT, IDS), TypeError, "int32.*dtype=.*select"),
    "bools": (lambda: jm.blend(SOFT, IDS > 1), TypeError, "bool.*dtype="),
    "another-integer": (lambda: jm.blend(SOFT, IDS, dtype=jnp.int8), TypeError, "int8.*int32"),
    "float-to-int": (lambda: jm.blend(SOFT, F, dtype=jnp.uint8), TypeError, "uint8.*float"),
    "soft-select": (lambda: jm.select(SOFT, IDS), TypeError, "float32 mask.*pair_loss"),
    "mask-misfit": (lambda: jm.blend(HARD, F[:, :4]), ValueError, r"\(4, 4, 8, 3\).*resize_mix"),
    "mask-too-deep": (lambda: jm.blend(HARD, F[:, 0, 0]), ValueError, r"\(4, 3\)"),
    "channels-first": (lambda: jm.blend(HARD, F.transpose(0, 3, 1, 2)), ValueError, "positions"),
    "select-misfit": (lambda: jm.select(HARD, IDS), ValueError, "resize_mix"),
    "other-batch": (lambda: jm.blend(SOFT, F[:3]), ValueError, "3, 8, 8, 3.*4 examples"),
    "other-batch-labels": (lambda: jm.blend_labels(SOFT, F[:3, 0, 0]), ValueError, "4 examples"),
    "scalar": (lambda: jm.take_partner(SOFT, jnp.float32(1)), ValueError, "batch first"),
    "other-shape": (lambda: jm.blend(SOFT, F, other=F[:, :2]), ValueError, "same"),
    "other-dtype": (lambda: jm.select(HARD, F, other=F > 0), ValueError, "bool.*cast"),
    "ids-map": (lambda: jm.blend_labels(SOFT, F[..., 0] > 0), TypeError, "select.*mask"),
    "multi-hot-ids": (lambda: jm.blend_labels(SOFT, jnp.eye(4, dtype=int)), TypeError, "cast"),
    "classes": (lambda: jm.blend_labels(SOFT, jnp.eye(4), num_classes=5), ValueError, "=5.*=4"),
    "smoothing-targets": (
        lambda: jm.blend_labels(SOFT, jnp.ones(4), smoothing=0.1),
        ValueError,
        "class axis",
    ),
    "smoothing-range": (
        lambda: jm.blend_labels(SOFT, jnp.eye(4), smoothing=1.5),
        ValueError,
        "smoothing=1.5",
    ),
    "reduced-loss": (
        lambda: jm.pair_loss(SOFT, mean_loss, jnp.ones(4), jnp.ones(4)),
        ValueError,
        "not reduced",
    ),
    "integer-loss": (
        lambda: jm.pair_loss(SOFT, lambda o, t: t, None, IDS),
        TypeError,
        "int32.*cast",
    ),
    "by": (lambda: jm.pair_loss(SOFT, mean_loss, F, F, by="area"), ValueError, "'lam', 'mask'"),
    "by-mask-misfit": (
        lambda: jm.pair_loss(HARD, lambda o, t: t, 0, jnp.ones(4), by="mask"),
        ValueError,
        "mask",
    ),
    "accuracy-shape": (
        lambda: jm.mixed_accuracy(SOFT, jnp.ones((4, 3)), jnp.zeros((4, 1), int)),
        ValueError,
        "ids",
    ),
    "keep-weights": (lambda: jm.keep(SOFT, jnp.ones(4)), TypeError, "float32.*bool"),
    "keep-shape": (lambda: unwrap(jm.keep)(SOFT, jnp.ones((4, 2), bool)), ValueError, r"\(B,\)"),
    "keep-rows": (lambda: jm.keep(SOFT, jnp.ones(3, bool)), ValueError, "4 examples"),
    "resize-rank": (lambda: jm.resize_mix(HARD, (4,)), ValueError, "2 sizes"),
    "stacked-mix": (lambda: jm.blend(STACKED, F), ValueError, "vmap"),
    "negative-alpha": (
        lambda: jm.sample_mixup(KEY, (4,), alpha=-0.1),
        ValueError,
        "alpha=-0.1.*0 turns",
    ),
    "nan-alpha": (lambda: jm.sample_cutmix(KEY, (4, 8), alpha=float("nan")), ValueError, "nan"),
    "negative-alpha-two": (
        lambda: jm.sample_mixup_or_cutmix(KEY, (4, 8), cutmix_alpha=-1),
        ValueError,
        "cutmix_alpha",
    ),
    "negative-beta": (lambda: jm.symmetric_beta(KEY, -1.0), ValueError, "alpha=-1"),
    "beta-zero": (lambda: jm.beta(0.0, 1.0), ValueError, "a=0"),
    "uniform-order": (lambda: jm.uniform(0.6, 0.2), ValueError, "low <= high"),
    "uniform-range": (lambda: jm.uniform(0.6, 1.2), ValueError, "high=1.2"),
    "constant": (lambda: jm.constant(2), ValueError, "value=2"),
    "affine": (lambda: jm.affine_uniform(-0.5), ValueError, "alpha=-0.5"),
    "per": (
        lambda: jm.sample_mixup(KEY, (4,), per="elem"),
        ValueError,
        "'batch', 'group', 'pair', 'example'",
    ),
    "box": (
        lambda: jm.sample_cutmix(KEY, (4, 8), box="center"),
        ValueError,
        "'clipped', 'even', 'inside'",
    ),
    "no-space": (lambda: jm.sample_cutmix(KEY, (4,)), ValueError, "spatial axis.*sample_mixup"),
    "shape": (lambda: unwrap(jm.sample_mixup)(KEY, 4), ValueError, "images.shape"),
    "shape-empty": (lambda: jm.sample_mixup(KEY, (0, 3)), ValueError, "positive"),
    "groups-odd": (
        lambda: (
            PAIRED(pairing=jm.reverse(groups=4))
            and jm.blend(PAIRED(pairing=jm.reverse(groups=4)), jnp.ones(6))
        ),
        ValueError,
        "groups=4.*6 examples",
    ),
    "groups-of-one": (lambda: jm.partner_index(jm.roll(groups=6), 6), ValueError, "two examples"),
    "groups-none": (lambda: jm.reverse(groups=0), ValueError, "groups=0"),
    "shards": (lambda: jm.pairing_for(10, shards=4), ValueError, "rows=10 and shards=4.*divides"),
    "no-rows": (lambda: jm.pairing_for(0), ValueError, "rows=0"),
    "backend": (lambda: jm.pairing_for(8, backend="TPU"), ValueError, "'TPU'.*tpu"),
    "roll-none": (lambda: jm.roll(0), ValueError, "shift=0"),
    "roll-whole": (lambda: jm.partner_index(jm.roll(3, groups=2), 6), ValueError, "itself"),
    "pairing-not-called": (
        lambda: unwrap(jm.sample_mixup)(KEY, (4,), pairing=jm.roll),
        TypeError,
        r"roll\(\), neighbours",
    ),
    "pairing-name": (
        lambda: unwrap(jm.sample_cutmix)(KEY, (4, 8), pairing="reverse"),
        TypeError,
        "'reverse'.*index array",
    ),
    "no-images": (lambda: jm.mixup(KEY, {}, IDS), ValueError, "images={}"),
    "pair-roll": (lambda: PAIRED(per="pair", pairing=jm.roll()), ValueError, "mutually"),
    "pair-index": (lambda: PAIRED(per="pair", pairing=jnp.arange(6)), ValueError, "index array"),
    "groups-of-one-row": (
        lambda: jm.blend(jm.sample_mixup(KEY, (1,), pairing=jm.reverse(groups=8)), jnp.ones(1)),
        ValueError,
        "groups=8",
    ),
    "partner-length": (
        lambda: jm.blend(PAIRED(pairing=jnp.arange(5)), jnp.ones(6)),
        ValueError,
        "pairing of shape",
    ),
    "index-length": (lambda: jm.partner_index(jnp.arange(5), 6), ValueError, "6 examples"),
    "switch": (
        lambda: jm.sample_mixup_or_cutmix(KEY, (4, 8), switch_prob=1.5),
        ValueError,
        "switch_prob",
    ),
    "prob": (lambda: jm.sometimes(jm.sample_mixup, -0.1), ValueError, "prob=-0.1"),
    "probs-sum": (
        lambda: jm.one_of([jm.sample_mixup] * 2, (0.5, 0.4)),
        ValueError,
        "0.9.*sometimes",
    ),
    "probs-count": (
        lambda: jm.one_of([jm.sample_mixup], (0.5, 0.5)),
        ValueError,
        "one prob for each",
    ),
    "probs-negative": (
        lambda: jm.one_of([jm.sample_mixup] * 2, (1.5, -0.5)),
        ValueError,
        "prob=1.5",
    ),
    "policy-per": (lambda: jm.sometimes(jm.sample_mixup, 1.0, per="row"), ValueError, "'row'"),
    "soft-classes": (lambda: unwrap(jm.within_class)(KEY, jnp.eye(3)), TypeError, "argmax"),
    "bandwidth": (lambda: jm.by_label_kernel(KEY, jnp.ones(3), 0.0), ValueError, "bandwidth=0"),
    "k": (lambda: jm.nearest(KEY, jnp.ones(3), k=0), ValueError, "k=0"),
    "typo": (lambda: jm.mixup(KEY, F, IDS, apha=1.0), TypeError, "apha"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_one_clear_sentence_at_trace_time(mistake):
    make, error, message = mistake
    with pytest.raises(error, match=message) as caught:
        jax.eval_shape(make)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 320


def test_checks_look_at_known_numbers_only():
    jax.jit(lambda a: jm.sample_mixup(KEY, (4,), alpha=a).lam)(-1.0)  # traced: off
    with pytest.raises(ValueError, match=r"alpha=-1\.0"):
        jm.sample_mixup(KEY, (4,), alpha=jnp.float32(-1.0))


DRAWN = jm.sample_mixup(KEY, (4,))
CUT = jax.vmap(lambda key: jm.sample_cutmix(key, (4, 8)))(jax.random.split(KEY, 2))
MISUSES = {
    "swapped": (lambda: jm.blend(jnp.ones(4), DRAWN), TypeError, "pass the mix first"),
    "no-key": (lambda: jm.sample_mixup((4,)), TypeError, r"tuple \(4,\) as key.*random.key"),
    "no-key-recipe": (
        lambda: jm.mixup(jnp.ones((4, 2)), jnp.ones(4)),
        TypeError,
        "mixup got an array.*as key.*as the first argument",
    ),
    "keys": (
        lambda: jm.sample_mixup(jax.random.split(KEY, 3), (4,)),
        TypeError,
        r"\(3,\) keys as key.*jax.vmap",
    ),
    "list-of-mixes": (lambda: jm.blend([DRAWN], jnp.ones(4)), TypeError, "a list.*overlay"),
    "list-where-one": (lambda: jm.keep_local([DRAWN], 0, radius=1.0), TypeError, "a list.*a Mix"),
    "tuple-where-one": (
        lambda: jm.reweigh((DRAWN, DRAWN), jnp.ones(4)),
        TypeError,
        "2 mixes; it needs one",
    ),
    "overlay-list": (lambda: unwrap(jm.overlay)([DRAWN]), TypeError, r"got list.*\*mixes"),
    "float-lam": (
        lambda: jm.blend(handmade(jm.reverse(), jnp.ones(1), 0.5), jnp.ones(4)),
        ValueError,
        r"lam has shape \(\).*jnp.full\(B, lam\)",
    ),
    "list-labels": (
        lambda: jm.blend_labels(DRAWN, [0, 1, 2, 3], num_classes=4),
        ValueError,
        r"a list is a PyTree.*jnp.asarray\(list\)",
    ),
    "ages": (
        lambda: jm.blend_labels(DRAWN, jnp.array([31, 7, 5, 60])),
        ValueError,
        "ages: cast them to float32",
    ),
    "reduced": (
        lambda: jm.pair_loss(DRAWN, lambda o, t: o.mean(), jnp.ones(4), jnp.ones(4)),
        ValueError,
        "one loss for each example, not reduced: leave the mean out of loss_fn",
    ),
    "size": (lambda: unwrap(jm.resize_mix)(DRAWN, 4), ValueError, r"spatial=4.*write \(4,\)"),
    "stacked-resize": (lambda: jm.resize_mix(CUT, (4,)), ValueError, "under vmap"),
    "stacked-loss": (lambda: jm.mask_loss(CUT), ValueError, "under vmap"),
    "bool-blend": (lambda: jm.blend(DRAWN, jnp.ones(4, bool)), TypeError, "a float dtype: "),
    "bool-to-bool": (
        lambda: jm.blend(DRAWN, jnp.ones(4, bool), dtype=bool),
        TypeError,
        r"select\(mix, x\)",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
def test_mistakes_have_a_sentence(name):
    call, kind, words = MISUSES[name]
    with pytest.raises(kind, match=words):
        call()


def test_bools_have_one_message():
    with pytest.raises(TypeError) as error:
        jm.blend(DRAWN, jnp.ones(4, bool))
    assert "bool itself" not in str(error.value)  # which the next call would refuse


BIG = jnp.zeros((2, 16, 16, 3))
NEWCOMERS = {  # what one who had never seen the library did
    "array-as-shape": (
        lambda: unwrap(jm.sample_cutmix)(KEY, BIG),
        ValueError,
        r"shape=an array of shape \(2, 16, 16, 3\).*images.shape\[:-1\]",
    ),
    "array-as-batch": (
        lambda: unwrap(jm.no_mix)(jnp.zeros((2, 3))),
        ValueError,
        r"batch=an array of shape \(2, 3\)",
    ),
    "with-channels": (
        lambda: jm.sample_cutmix(KEY, BIG.shape),
        ValueError,
        r"last axis looks like channels.*images.shape\[:-1\], or axes=\(1, 2, 3\)",
    ),
    "with-channels-of-two": (
        lambda: jm.sample_mixup_or_cutmix(KEY, BIG.shape),
        ValueError,
        "last axis looks like channels",
    ),
    "channels-came-first": (
        lambda: jm.sample_cutmix(KEY, (2, 3, 16)),
        ValueError,
        r"channels came first.*moveaxis\(images, 1, -1\).*axes=\(1, 2\)",
    ),
    "rngs": (lambda: jm.sample_mixup(nnx.Rngs(0), (4,)), TypeError, r"got Rngs as key.*rngs\(\)"),
    "stream": (lambda: jm.sample_mixup(nnx.Rngs(0).params, (4,)), TypeError, "RngStream as key"),
    "no-alpha": (
        lambda: unwrap(jm.sample_mixup)(KEY, (4,), alpha=None),
        TypeError,
        "sample_mixup got alpha=None; it needs a number >= 0",
    ),
    "text-alpha": (
        lambda: unwrap(jm.sample_cutmix)(KEY, (4, 8), alpha="0.2"),
        TypeError,
        "sample_cutmix got alpha='0.2'; it needs a number",
    ),
    "list-targets": (
        lambda: jm.pair_loss(DRAWN, lambda o, t: o, jnp.ones(4), [0, 1, 2, 3]),
        ValueError,
        r"pair_loss got targets of shape \(\).*a list is a PyTree",
    ),
    "other-batch-accuracy": (
        lambda: jm.mixed_accuracy(DRAWN, jnp.ones((3, 5)), jnp.zeros(3, int)),
        ValueError,
        r"mixed_accuracy got logits of shape \(3, 5\) for a mix of 4",
    ),
    "dict-with-ids": (
        lambda: jm.blend(DRAWN, {"x": jnp.ones(4), "label": jnp.arange(4)}),
        TypeError,
        r"blend got x\['label'\] of dtype int32",
    ),
    "bytes": (
        lambda: jm.blend(DRAWN, jnp.ones(4, jnp.uint8)),
        TypeError,
        r"it needs dtype=jnp.float32 for images \(or jnp.uint8, which rounds\): for ids",
    ),
    "swapped-policy": (
        lambda: unwrap(jm.sometimes)(jm.until(1, 2), jm.sample_mixup),
        TypeError,
        "sometimes got an array.* as sampler.*pass the sampler first",
    ),
    "one-sampler": (lambda: unwrap(jm.one_of)([0.5], (1.0,)), TypeError, "one_of got float 0.5"),
    "classes-as-float": (
        lambda: unwrap(jm.blend_labels)(DRAWN, jnp.arange(4), num_classes=4.0),
        TypeError,
        "num_classes=4.0; it needs an int",
    ),
}


@pytest.mark.parametrize("name", NEWCOMERS)
def test_newcomers_get_a_sentence(name):
    call, kind, words = NEWCOMERS[name]
    with pytest.raises(kind, match=words) as error:
        call()
    assert "\n" not in str(error.value) and len(str(error.value)) < 320


def test_named_axes_are_taken_at_their_word():
    for sampler in (jm.sample_cutmix, jm.sample_mixup_or_cutmix):
        assert sampler(KEY, BIG.shape, axes=(1, 2, 3)).mask.shape == (1, 16, 16, 3)
        assert sampler(KEY, (2, 3, 16), axes=(1, 2)).mask.shape == (1, 3, 16)
        assert sampler(KEY, (2, 16, 3)).mask.shape == (1, 16, 3)

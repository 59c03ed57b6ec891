"""A partner from a second batch, in every verb that takes one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(0)


@pytest.mark.slow
def test_every_verb_takes_another_batch_in_place_of_the_partners():
    """`other=` of the partners' own rows changes nothing, and another one is what is taken."""
    mix = jm.sample_mixup(KEY, (4,), per="example", pairing=jm.roll())
    ids, soft = jnp.array([0, 1, 2, 0]), jnp.eye(4)[:, :3] + 0.25
    x, logits = (jax.random.normal(KEY, shape) for shape in ((4, 6, 3), (4, 3)))
    counts, level = jnp.array([10.0, 1.0, 40.0]), jnp.array([1.0, 2.0, 3.0, 4.0])
    valid = jnp.arange(6)[None] < jnp.array([[6], [4], [3], [5]])
    ce = lambda o, t: -jnp.take_along_axis(jax.nn.log_softmax(o), t[:, None], 1)[:, 0]
    double = jnp.concatenate([logits, logits])
    maps, places = jax.random.uniform(KEY, (4, 6)), jnp.arange(24).reshape(4, 6) % 5
    seen = jm.Mix(jm.roll(), jnp.arange(6)[None] < 2, jnp.full(4, 1 / 3))
    verbs = {
        "blend": (lambda x, **o: jm.blend(mix, x, **o), x),
        "blend_at": (lambda x, **o: jm.blend_at(mix, x, layer=1, at=1, **o), x),
        "blend_moments": (lambda x, **o: jm.blend_moments(mix, x, axes=(1,), **o), x),
        "quantiles": (lambda x, **o: jm.blend_quantiles(mix, x, axes=(1,), **o), x),
        "amplitude": (lambda x, **o: jm.blend_amplitude(mix, x, **o), x),
        "blend_labels": (lambda y, **o: jm.blend_labels(mix, y, num_classes=3, **o), ids),
        "soft": (lambda y, **o: jm.blend_labels(mix, y, smoothing=0.1, **o), soft),
        "pair_loss": (lambda y, **o: jm.pair_loss(mix, ce, logits, y, **o), ids),
        "regmixup": (lambda y, **o: jm.regmixup_loss(mix, ce, double, y, **o), ids),
        "decoupled": (lambda y, **o: jm.decoupled_loss(mix, logits, y, **o), ids),
        "accuracy": (lambda y, **o: jm.mixed_accuracy(mix, logits, y, **o), ids),
        "remix": (lambda y, **o: jm.remix(mix, y, counts, **o), ids),
        "mamix": (lambda y, **o: jm.mamix(mix, y, counts, **o), ids),
        "balance": (lambda y, **o: jm.balance(mix, y, **o), level),
        "reweigh": (lambda y, **o: jm.reweigh(mix, y, **o), valid),
        "keep_overlap": (lambda y, **o: jm.keep_overlap(mix, y, **o), valid),
        "keep_local": (lambda y, **o: jm.keep_local(mix, y, radius=6.0, **o), x),
        "warp": (lambda y, **o: jm.warp_by_distance(mix, y, **o), x),
        "keep": (lambda y, **o: jm.keep(mix, y, **o), jnp.array([True, True, False, True])),
        "transport": (lambda y, **o: jm.puzzle_transport(seen, y, grid=(6,), **o), maps),
        "place": (lambda x, **o: jm.place_partner(mix, x, places, **o), x),
        "align": (lambda x, **o: jm.align_partner(mix, x, iterations=5, **o), x),
    }
    for name, (verb, own) in verbs.items():
        plain = jax.tree.leaves(verb(own))
        given = jax.tree.leaves(verb(own, other=jm.take_partner(mix, own)))
        for a, b in zip(plain, given, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
        changed = jax.tree.leaves(verb(own, other=jnp.roll(own, 2, axis=0)))
        assert any((a != b).any() for a, b in zip(plain, changed, strict=True)), name

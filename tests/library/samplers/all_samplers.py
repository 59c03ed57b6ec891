"""Every sampler, ready to draw a small batch, for tests of what they all share."""

import inspect
from functools import partial
from inspect import unwrap  # past the shape checks, which only tests have

import jax
import jax.numpy as jnp
import pytest

import jax_mixup as jm
from tests.library.methods import SEVERAL, SHAPED

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
    "sample_copy_paste": (
        partial(jm.sample_copy_paste, num_objects=12),
        (jnp.arange(B * 36).reshape(SHAPE) % 12 + 1,),
    ),
    "sample_avoiding_cutmix": (jm.sample_avoiding_cutmix, (F,)),
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


def unchecked(name, **options):
    sampler, args = ALL[name]
    options = getattr(sampler, "keywords", {}) | options
    return unwrap(getattr(jm, name))(KEY, *args, **options)

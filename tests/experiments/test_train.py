"""The train step by hand: what each part of a recipe changes, and what it does not."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jax_mixup as jm
from experiments.core import classify
from experiments.core.epochs import train_steps
from experiments.core.step import init, train_step
from experiments.models.mlp import MLP

KEY = jax.random.key(0)
X = jnp.linspace(0, 1, 8 * 64).reshape(8, 8, 8, 1)
Y = jnp.arange(8)
MODEL = lambda rngs: MLP(64, 16, 10, rngs=rngs)
SGD = optax.sgd(0.1)


def quarter(key, x, y, **options):
    return jm.sample_mixup(key, y.shape, lam_law=jm.constant(0.25), **options)


def step_of(recipe, x=X, y=Y, state=None):
    state = init(recipe, KEY) if state is None else state
    return jax.jit(partial(train_step, recipe))(state, KEY, (x, y))


def assert_close(some, others, **tolerance):
    for a, b in zip(jax.tree.leaves(some), jax.tree.leaves(others), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def differs(some, others):
    pairs = zip(jax.tree.leaves(some), jax.tree.leaves(others), strict=True)
    return any(bool((a != b).any()) for a, b in pairs)


def by_hand(params_of, x, target):
    """Loss and gradient of a state's parameters on soft labels."""
    recipe, state = params_of

    def loss_fn(params):
        out = classify.logits(recipe, state._replace(params=params), x)
        return -(target * jax.nn.log_softmax(out)).sum(1).mean()

    return jax.value_and_grad(loss_fn)(state.params)


def test_one_step_is_pinned():
    """A step's loss and parameters by hand; and the step compiles from shapes."""
    recipe = classify.recipe(MODEL, SGD, quarter, smoothing=0.1)
    start = init(recipe, KEY)
    target = 0.9 * jnp.eye(10)[Y] + 0.01
    target = 0.25 * target + 0.75 * target[::-1]
    loss, grads = by_hand((recipe, start), 0.25 * X + 0.75 * X[::-1], target)
    state, scores = step_of(recipe)
    np.testing.assert_allclose(scores["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(scores["loss"], 2.3033, atol=5e-4)
    np.testing.assert_allclose(scores["grad_norm"], optax.tree.norm(grads), rtol=1e-5)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, start.params, grads)
    assert_close(state.params, expected, rtol=1e-4, atol=1e-7)
    assert int(state.step) == 1
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (start, KEY, (X, Y)))
    assert jax.jit(partial(train_step, recipe)).lower(*shapes).compile()


def test_bytes_are_mixed_before_they_are_normalised():
    pixels = jnp.round(255 * X).astype(jnp.uint8)
    recipe = classify.recipe(MODEL, SGD, quarter, normalise=lambda x: (x - 100) / 50)
    mixed = 0.25 * pixels.astype(jnp.float32) + 0.75 * pixels[::-1].astype(jnp.float32)
    target = 0.25 * jnp.eye(10)[Y] + 0.75 * jnp.eye(10)[Y][::-1]
    start = init(recipe, KEY)
    loss, _ = by_hand((recipe._replace(normalise=lambda x: x), start), (mixed - 100) / 50, target)
    np.testing.assert_allclose(step_of(recipe, pixels)[1]["loss"], loss, rtol=1e-5)


def test_prepare_comes_before_mixing_and_may_change_the_batch():
    """RegMixup's batch: the examples as they are, next to the mixed ones."""

    def twice(key, x, y):
        return jnp.concatenate([x, x]), jnp.concatenate([y, y])

    def half(key, x, y):
        pairing = jnp.concatenate([jnp.arange(8), 15 - jnp.arange(8)])
        mix = quarter(key, x, y, pairing=pairing)
        return jm.keep(mix, jnp.arange(16) >= 8)

    recipe = classify.recipe(MODEL, SGD, half, twice)
    clean = step_of(classify.recipe(MODEL, SGD))[1]["loss"]
    mixed = step_of(classify.recipe(MODEL, SGD, quarter))[1]["loss"]
    np.testing.assert_allclose(step_of(recipe)[1]["loss"], (clean + mixed) / 2, rtol=1e-5)


def test_a_traced_layer_mixes_there_and_only_there():
    inputs, _ = step_of(classify.recipe(MODEL, SGD, quarter))
    compiled = []

    @jax.jit
    def at(layer):
        compiled.append(layer)
        recipe = classify.recipe(MODEL, SGD, quarter, layer=layer)
        return train_step(recipe, init(recipe, KEY), KEY, (X, Y))[0].params

    assert_close(at(0), inputs.params, rtol=1e-5, atol=1e-7)
    assert differs(at(1), at(2)) and differs(at(0), at(1)) and len(compiled) == 1
    start = init(classify.recipe(MODEL, SGD), KEY).params  # by hand, after the first layer
    bare = {"kernel": start["first"]["kernel"][...], "bias": start["first"]["bias"][...]}
    hidden = jax.nn.relu(X.reshape(8, -1) @ bare["kernel"] + bare["bias"])
    hidden = 0.25 * hidden + 0.75 * hidden[::-1]
    second, last = start["second"], start["last"]
    out = jax.nn.relu(hidden @ second["kernel"][...] + second["bias"][...])
    out = out @ last["kernel"][...] + last["bias"][...]
    target = 0.25 * jnp.eye(10)[Y] + 0.75 * jnp.eye(10)[Y][::-1]
    loss = -(target * jax.nn.log_softmax(out)).sum(1).mean()
    _, scores = step_of(classify.recipe(MODEL, SGD, quarter, layer=1))
    np.testing.assert_allclose(scores["loss"], loss, rtol=1e-5)


def test_parts_of_a_batch_give_the_gradient_of_the_whole():
    whole, parts = (classify.recipe(MODEL, SGD, accumulate=n) for n in (1, 4))
    assert_close(step_of(parts)[0], step_of(whole)[0], rtol=1e-5, atol=1e-7)
    # Rows j and j + 4 make part j, reversed they meet each other.
    partner = jnp.array([4, 5, 6, 7, 0, 1, 2, 3])
    whole = classify.recipe(MODEL, SGD, partial(quarter, pairing=partner))
    parts = classify.recipe(MODEL, SGD, quarter, accumulate=4)
    assert_close(step_of(parts), step_of(whole), rtol=1e-5, atol=1e-7)
    drawn = []

    def draw(key, x, y):
        mix = jm.sample_mixup(key, y.shape)
        jax.debug.callback(lambda lam: drawn.append(float(lam)), mix.lam[0])
        return mix

    jax.block_until_ready(step_of(classify.recipe(MODEL, SGD, draw, accumulate=4)))
    jax.effects_barrier()
    assert len(set(drawn)) == 4  # each part mixes by a draw of its own
    with pytest.raises(ValueError, match="accumulate=3 does not divide the batch of 8"):
        step_of(classify.recipe(MODEL, SGD, accumulate=3))


def test_mixing_is_scheduled_by_one_program():
    compiled = []

    @jax.jit
    def steps(state, prob):
        compiled.append(prob)
        recipe = classify.recipe(MODEL, SGD, quarter, mix_prob=lambda step: prob * (step >= 1))
        state, _ = train_step(recipe, state, KEY, (X, Y))
        return state, train_step(recipe, state, KEY, (X, Y))[0]

    plain, start = classify.recipe(MODEL, SGD), init(classify.recipe(MODEL, SGD), KEY)
    first, second = steps(start, 1.0)
    expected, _ = step_of(plain)
    assert_close(first.params, expected.params, rtol=1e-5, atol=1e-7)  # off in step 0
    off, _ = step_of(plain, state=first)
    on, _ = step_of(classify.recipe(MODEL, SGD, quarter), state=first)
    assert_close(second.params, on.params, rtol=1e-5, atol=1e-7)
    assert differs(on.params, off.params)
    assert_close(steps(start, 0.0)[1].params, off.params, rtol=1e-5, atol=1e-7)
    assert len(compiled) == 1


def test_weights_are_averaged_and_scored():
    recipe = classify.recipe(MODEL, SGD, ema=0.75)
    start = init(recipe, KEY)
    state, _ = step_of(recipe)
    expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, start.params, state.params)
    assert_close(state.ema[0], expected, rtol=1e-6)
    averaged = state._replace(params=state.ema[0], ema=None)
    out = classify.logits(recipe, state, X)
    np.testing.assert_array_equal(out, classify.logits(recipe, averaged, X))
    assert differs(out, classify.logits(recipe, state._replace(ema=None), X))


@dataclasses.dataclass
class Seen:
    """Data whose rows are their own numbers."""

    y: np.ndarray
    x: np.ndarray


def test_an_epoch_visits_each_example_once_in_an_order_of_its_own():
    seen = []

    def record(key, x, y):
        jax.debug.callback(lambda y: seen.append(y.tolist()), y, ordered=True)
        return x, y % 10

    recipe = classify.recipe(MODEL, SGD, prepare=record)
    data = SimpleNamespace(x=jnp.ones((26, 8, 8, 1)), y=jnp.arange(26))

    def run(steps, dispatches, state=None):
        seen.clear()
        many = jax.jit(partial(train_steps, recipe, batch=4, steps=steps, data=data))
        state = init(recipe, KEY) if state is None else state
        for _ in range(dispatches):
            state, scores = many(state, KEY)
            assert scores["loss"].shape == (steps,)
        jax.effects_barrier()
        return state, list(seen)

    state, rows = run(6, 2)
    first, second = np.ravel(rows[:6]), np.ravel(rows[6:])
    assert len(set(first)) == len(set(second)) == 24 and (first != second).any()
    # In other pieces, and from the middle: the same.
    again, pieces = run(2, 6)
    assert pieces == rows
    assert_close(again, state, rtol=1e-6, atol=1e-7)
    middle, _ = run(3, 3)
    late, pieces = run(3, 1, middle)
    assert pieces == rows[9:] and int(late.step) == 12
    with pytest.raises(ValueError, match="divide the 6 of an epoch"):
        run(4, 1)
    with pytest.raises(ValueError, match="at least one batch"):
        train_steps(recipe, state, KEY, data, batch=27, steps=1)

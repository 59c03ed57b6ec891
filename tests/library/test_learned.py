"""Learned mixes: laws, formulas in NumPy, and a few steps of training of each."""

import doctest
import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned
from tests.library import test_api
from tests.library.statistics import seed, within

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def plain_promotion():
    """Flax and optax promote; the library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", learned.__all__)
def test_the_docstrings_are_as_the_core_has_them(name, monkeypatch):
    public = getattr(learned, name)
    monkeypatch.setitem(test_api.PUBLIC, name, public)
    if not isinstance(public, type):
        monkeypatch.setitem(test_api.FUNCTIONS, name, public)
        parameters = inspect.signature(public).parameters.values()
        assert next(iter(parameters)).name == "key"
        for p in parameters:
            assert p.annotation is not p.empty
            assert p.default is p.empty or p.kind is p.KEYWORD_ONLY
    test_api.test_docstring(name)
    runner = doctest.DocTestRunner()
    globs = {"jm": jm, "jax": jax, "jnp": jnp, "nnx": nnx, "learned": learned}
    for test in doctest.DocTestFinder(recurse=False).find(public, name, globs=globs):
        runner.run(test)
    assert runner.tries and not runner.failures


def task(n=16):
    """Pictures of two classes: a bright square on the left or on the right, of noise."""
    y = jnp.arange(n) % 2
    x = 0.1 * jax.random.normal(KEY, (n, 8, 8, 1))
    left = (jnp.arange(8) < 4)[None, None, :, None]
    return x + jnp.where(left == (y == 0)[:, None, None, None], 1.0, 0.0), y


class Net(nnx.Module):
    """A layer on patches, whose features a mix block sees, and two heads: classes, and realness."""

    def __init__(self, rngs):
        self.patches = nnx.Linear(4, 6, rngs=rngs)
        self.classes = nnx.Linear(6 * 16, 2, rngs=rngs)
        self.real = nnx.Linear(6 * 16, 1, rngs=rngs)

    def features(self, x):
        patches = x.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4, 4)
        return nnx.relu(self.patches(patches))

    def __call__(self, x):
        return self.classes(self.features(x).reshape(x.shape[0], -1))

    def realness(self, x):
        return self.real(self.features(x).reshape(x.shape[0], -1))[:, 0]


def loss_fn(logits, ids):
    return optax.softmax_cross_entropy_with_integer_labels(logits, ids)


def block_and_features(b=6, c=4, dtype=jnp.float32):
    block = nnx.jit(lambda: learned.MixBlock(c, rngs=nnx.Rngs(1)))()
    big = jax.tree.map(lambda p: 100 * p, nnx.state(block))  # as a trained one: far from uniform
    nnx.update(block, big)
    return block, jax.random.normal(KEY, (b, 3, 2, c)).astype(dtype)


def softmax(a):
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def with_share(features, lam):
    return [
        np.concatenate([row.reshape(-1, row.shape[-1]), np.full((6, 1), share)], axis=1)
        for row, share in zip(np.asarray(features, np.float64), np.asarray(lam), strict=True)
    ]


def apply(layer, z):
    return z @ np.asarray(layer.kernel.get_value()) + np.asarray(layer.bias.get_value())


def test_automix_is_the_formula():
    block, features = block_and_features()
    graph, state = nnx.split(block)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, None, None))
    def draw(state, key, features, alpha):
        block = nnx.merge(graph, state)
        return learned.sample_automix(key, block, features, (3, 2), alpha=alpha, pairing=jm.roll())

    keys = jax.random.split(seed("automix"), 400)
    many = draw(state, keys, features, 2.0)
    mix = jax.tree.map(lambda a: a[0], many)
    own, other = with_share(features, mix.lam), with_share(np.roll(features, 1, 0), 1 - mix.lam)
    for i in range(6):
        if min(mix.lam[i], 1 - mix.lam[i]) <= 0.08:
            continue
        attention = softmax(apply(block.query, own[i]) @ apply(block.key, other[i]).T / np.sqrt(2))
        given = 1 / (1 + np.exp(-attention @ apply(block.value, other[i])[:, 0]))
        np.testing.assert_allclose(mix.mask[i].reshape(-1), 1 - given, rtol=1e-3, atol=1e-5)
    assert mix.mask.min() >= 0 and mix.mask.max() <= 1 and mix.mask.std() > 0.05
    within(many.lam, 0.5)
    within((np.asarray(many.lam) - 0.5) ** 2, 1 / 20)  # of Beta(2, 2)
    off = draw(state, keys, features, 0.0)
    assert (off.mask == 1).all() and (off.lam == 1).all()
    assert draw._cache_size() == 1
    low = jax.eval_shape(lambda z: draw(state, keys, z, 2.0).mask, features.astype(jnp.bfloat16))
    assert low.dtype == jnp.float32


def test_automix_near_the_ends_is_mixup_and_the_mask_is_resized():
    block, features = block_and_features()
    law = lambda key, shape: jnp.linspace(0, 1, 6)

    @partial(jax.jit, static_argnums=0)
    def draw(spatial):
        return learned.sample_automix(KEY, block, features, spatial, lam_law=law, margin=0.1)

    mix, small = draw((6, 4)), draw((3, 2))
    np.testing.assert_allclose(mix.lam, np.linspace(0, 1, 6), rtol=1e-6)
    assert mix.mask.shape == (6, 6, 4)
    assert (mix.mask[0] == 0).all() and (mix.mask[5] == 1).all()
    score = np.log(np.asarray(small.mask)[1:5]) - np.log1p(-np.asarray(small.mask)[1:5])
    score = np.pad(score, ((0, 0), (1, 1), (1, 1)), mode="edge")
    # Twice as many positions: each is ¾ of the near one and ¼ of the next, in both axes.
    for axis, size in ((1, 3), (2, 2)):
        before, at, after = (score.take(range(k, k + size), axis=axis) for k in range(3))
        both = np.stack([0.75 * at + 0.25 * before, 0.75 * at + 0.25 * after], axis + 1)
        score = both.reshape([*both.shape[:axis], 2 * size, *both.shape[axis + 2 :]])
    np.testing.assert_allclose(mix.mask[1:5], 1 / (1 + np.exp(-score)), rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="from before any pooling"):
        learned.sample_automix(KEY, block, features[:, 0, 0], (8, 8))
    with pytest.raises(ValueError, match="as many spatial axes"):
        learned.sample_automix(KEY, block, features, (8,))


def weights_of(mixes, leaf):
    """What each row has in the end, from the layers' weights."""
    weights = [np.ones_like(np.asarray(getattr(mixes[0], leaf)))]
    for mix in mixes:
        m = np.asarray(getattr(mix, leaf))
        weights = [w * m for w in weights] + [1 - m]
    return np.stack(weights)


def test_adautomix_is_the_formula():
    block, features = block_and_features()
    graph, state = nnx.split(block)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, None, None))
    def draw(state, key, features, alpha):
        block = nnx.merge(graph, state)
        return learned.sample_adautomix(key, block, features, (3, 2), alpha=alpha)

    keys = jax.random.split(seed("adautomix"), 300)
    many = draw(state, keys, features, 1.0)
    mixes = jax.tree.map(lambda a: a[0], many)
    for shift, mix in enumerate(mixes, 1):
        np.testing.assert_array_equal(jm.partner_index(mix.partner, 6), (np.arange(6) - shift) % 6)
    assert len(mixes) == 2
    lams = weights_of(mixes, "lam")
    np.testing.assert_allclose(lams.sum(axis=0), 1, rtol=1e-5)
    rows = [with_share(np.roll(features, j, 0), lams[j]) for j in range(3)]
    masks = weights_of(mixes, "mask")
    for i in range(6):
        scores = []
        for j in range(3):
            logits = sum(
                apply(block.query, rows[j][i]) @ apply(block.key, rows[k][i]).T
                for k in range(3)
                if k != j
            )
            scores.append(softmax(logits / np.sqrt(2)) @ apply(block.value, rows[j][i])[:, 0])
        expected = softmax(np.stack(scores, axis=-1)).T.reshape(3, 3, 2)
        if 0.03 < lams[0, i] < 0.97:
            np.testing.assert_allclose(masks[:, i], expected, rtol=2e-3, atol=1e-4)
    x = jnp.arange(6.0)[:, None, None, None] * jnp.ones((1, 3, 2, 1))
    expected = sum(masks[j][..., None] * np.roll(x, j, 0) for j in range(3))
    np.testing.assert_allclose(jm.blend(mixes, x), expected, rtol=1e-4, atol=1e-4)
    labels = jm.blend_labels(mixes, jnp.arange(6), num_classes=6)
    np.testing.assert_allclose(
        labels, sum(lams[j][:, None] * np.roll(np.eye(6), j, 0) for j in range(3)), atol=1e-5
    )
    drawn = np.asarray(many[0].lam * many[1].lam)
    within(drawn, 1 / 3)  # by symmetry of three numbers over their sum
    off = jax.tree.map(lambda a: a[0], draw(state, keys, features, 0.0))
    np.testing.assert_array_equal(jm.blend(off, x), x)
    assert draw._cache_size() == 1
    with pytest.raises(ValueError, match="got no pairings"):
        learned.sample_adautomix(KEY, block, features, (3, 2), pairings=())


def test_adamixup_is_the_formula():
    seen = []

    def encoder(x):
        seen.append(np.asarray(x))
        return x.reshape(x.shape[0], -1)

    region = learned.PolicyRegion(encoder, 3, rngs=nnx.Rngs(0))
    nnx.update(region, jax.tree.map(lambda p: 300 * p, nnx.state(region)))
    x = jax.random.normal(KEY, (2000, 3)).astype(jnp.bfloat16)
    mix = learned.sample_adamixup(KEY, region, x)
    z = apply(region.last, apply(region.hidden, seen[0].astype(np.float64)))
    shares = softmax(z)
    u = (np.asarray(mix.lam) - shares[:, 0]) / shares[:, 1]
    wide = shares[:, 1] > 0.01
    assert wide.sum() > 500 and u[wide].min() > -1e-2 and u[wide].max() < 1.01
    within(u[wide], 0.5)
    within(u[wide] ** 2, 1 / 3)
    np.testing.assert_array_equal(mix.mask, mix.lam)
    own = np.asarray(x, np.float32)
    assert np.abs(seen[0]).max() <= np.abs(own).max() * 2  # (ξ₁ x + ξ₂ x_p) / 2, |ξ| <= 2
    # E ξ² of N(0, 1) cut off at 2 is 1 - 2·2 φ(2) / (2 Φ(2) - 1) = 0.7737
    within(seen[0] ** 2 - 0.7737 * (own**2 + own[::-1] ** 2) / 4, 0.0)


def test_losses_by_hand():
    real, mixed = np.array([2.0, -1.0, 0.5]), np.array([1.0, -3.0])
    sigma = lambda z: 1 / (1 + np.exp(-z))
    expected = -(np.log(sigma(real)).sum() + np.log(1 - sigma(mixed)).sum()) / 5
    np.testing.assert_allclose(jm.intrusion_loss(real, mixed), expected, rtol=1e-5)
    bool_mask = jm.Mix(jm.reverse(), jnp.array([[True, True, True, False]]), jnp.array([0.5, 1.0]))
    np.testing.assert_allclose(jm.mask_loss(bool_mask), 0.15, rtol=1e-5)
    np.testing.assert_allclose(jm.mask_loss(bool_mask, margin=0.0), 0.25, rtol=1e-5)
    mixes = tuple(jm.Mix(jm.roll(k), jnp.full(3, 0.5), jnp.full(3, 0.5)) for k in (1, 2))
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    cosine = lambda a, b: (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    alike = [
        0.25 * cosine(a[i], b[i]) + 0.25 * cosine(a[i], b[i - 1]) + 0.5 * cosine(a[i], b[i - 2])
        for i in range(3)
    ]
    losses = jnp.array([1.0, 2.0, 6.0])
    b = jnp.asarray(b)
    value = jax.jit(jax.value_and_grad(lambda a: jm.adautomix_loss(mixes, losses, a, b, beta=0.3)))
    np.testing.assert_allclose(value(a)[0], -0.3 * 3 + 0.7 * np.mean(alike), rtol=1e-4)
    assert bool(jnp.isfinite(value(jnp.zeros((3, 4)))[1]).all())


def run(make, parts, steps=30):
    """Train on the sum of `parts`, a dict of losses; their values, and what gradients reach."""
    modules = nnx.jit(lambda: nnx.Dict(make()))()  # one program, not one for each weight
    graph, params = nnx.split(modules)
    optimizer = optax.adam(0.02)

    def step(carry, weights):
        params, opt_state, key = carry  # one key, so that values can be compared

        def loss(params):
            values = parts(nnx.merge(graph, params), key)
            return weights @ jnp.stack([values[part] for part in sorted(values)]), values

        grads, values = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        moved = {name: optax.tree.norm(tree) > 0 for name, tree in grads.items()}
        return (optax.apply_updates(params, updates), opt_state, key), (values, moved)

    n = len(jax.eval_shape(parts, modules, KEY))
    alone = jnp.concatenate([jnp.eye(n), jnp.ones((steps, n))])  # first each of them, then all
    train = jax.jit(lambda p, key: jax.lax.scan(step, (p, optimizer.init(p), key), alone)[1])
    values, moved = train(params, KEY)
    reached = {part: {name for name in moved if moved[name][i]} for i, part in enumerate(values)}
    return jax.tree.map(np.asarray, values), reached


@pytest.mark.slow
def test_adamixup_trains():
    x, y = task()

    def make():
        rngs = nnx.Rngs(0)
        encoder = nnx.Sequential(lambda h: h.reshape(len(h), -1), nnx.Linear(64, 4, rngs=rngs))
        return {"net": Net(rngs), "region": learned.PolicyRegion(encoder, 4, rngs=rngs)}

    def parts(m, key):
        mix = learned.sample_adamixup(key, m["region"], x)
        mixed, net = jm.blend(mix, x), m["net"]
        return {
            "clean": loss_fn(net(x), y).mean(),
            "mixed": jm.pair_loss(mix, loss_fn, net(mixed), y).mean(),
            "intrusion": jm.intrusion_loss(net.realness(x), net.realness(mixed)),
        }

    values, reached = run(make, parts)
    assert reached == {"clean": {"net"}, "mixed": {"net", "region"}, "intrusion": {"net", "region"}}
    assert values["clean"][-1] < 0.5 * values["clean"][0]
    for part in ("mixed", "intrusion"):
        assert values[part][-1] < values[part][0] - 0.02


@pytest.mark.parametrize("method", ["automix", "adautomix"])
def test_a_block_and_a_classifier_train_apart(method):
    x, y = task()
    teacher = nnx.jit(
        lambda: Net(nnx.Rngs(3))
    )()  # stands still here; in training it is the classifier's average
    sample = getattr(learned, f"sample_{method}")

    def parts(m, key):
        key_net, key_block = jax.random.split(key)
        draw = lambda key: sample(key, m["block"], teacher.features(x), (8, 8))
        mix = jax.lax.stop_gradient(draw(key_net))
        ours = jm.pair_loss(mix, loss_fn, m["net"](jm.blend(mix, x)), y).mean()
        mix = draw(key_block)
        logits = teacher(jm.blend(mix, x))
        losses = jm.pair_loss(mix, loss_fn, logits, y)
        values = {"clean": loss_fn(m["net"](x), y).mean(), "mixed": ours}
        if method == "automix":
            return values | {"block": losses.mean(), "mask": jm.mask_loss(mix, margin=0.0)}
        return values | {"block": jm.adautomix_loss(mix, losses, logits, teacher(x))}

    values, reached = run(
        lambda: {"net": Net(nnx.Rngs(0)), "block": learned.MixBlock(6, rngs=nnx.Rngs(1))}, parts
    )
    for part, names in reached.items():
        assert names == ({"net"} if part in ("clean", "mixed") else {"block"}), part
    assert values["clean"][-1] < 0.5 * values["clean"][0]
    assert values["mixed"][-1] < values["mixed"][0]
    learnt = values["block"] + values.get("mask", 0.0)
    assert learnt[-1] < learnt[0] - 0.01

"""A few steps of training of each learned mix."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned

KEY = jax.random.key(0)


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


@pytest.mark.slow
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
    losses = values["block"] + values.get("mask", 0.0)
    assert losses[-1] < losses[0] - 0.01

"""Fine-tuning on few examples: a frozen trunk, a new head, and alpha small or none.

- With few examples and a frozen trunk, start without mixing. Big Transfer mixes with alpha 0.1, and
  only above 20,000 examples. `main` measures alpha on 20 draws of 32 examples. Here 0.1 changes the
  accuracy by less than it varies, and 1 gains nothing either.
- Alpha may be traced: one compiled program works for all values, and 0 mixes nothing.
- A whole data set as one batch comes in the same order in each step. So draw the partners, too: by
  `reverse()`, example i would always meet the same one.
- The trunk has to run on the mixed pictures in each step. Its features of unmixed pictures can be
  stored; to use those, blend the features.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures

OPTIMIZER, EXAMPLES, DRAWS = optax.adam(5e-3), 32, 20
cross_entropy = optax.softmax_cross_entropy_with_integer_labels


class Trunk(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = (x.astype(jnp.float32) - 110) / 60
        x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        return nn.relu(nn.Conv(32, (3, 3), strides=2)(x)).max(axis=(1, 2))


def logits_of(head, trunk, images):
    return Trunk().apply(trunk, images) @ head["kernel"] + head["bias"]


def new_head():
    return {"kernel": jnp.zeros((32, CLASSES)), "bias": jnp.zeros(CLASSES)}


def pretrained(seed):
    """A trunk, trained with a head on the pictures as they are."""

    @jax.jit
    def step(params, moments, images, labels):
        loss_fn = lambda p: cross_entropy(logits_of(p[0], p[1], images), labels).mean()
        updates, moments = OPTIMIZER.update(jax.grad(loss_fn)(params), moments)
        return optax.apply_updates(params, updates), moments

    params = new_head(), Trunk().init(jax.random.key(seed), jnp.ones((1, 16, 16, 3)))
    moments = OPTIMIZER.init(params)
    for _, images, labels in batches(seed, steps=60):
        params, moments = step(params, moments, images, labels)
    return params[1]


def finetuned(trunk, alpha, key, images, labels):
    """A head for a frozen trunk."""

    def step(carry, key):
        head, moments = carry
        key_partner, key_mix = jax.random.split(key)  # mixing
        partner = jm.permutation(key_partner, len(labels))  # mixing
        mix = jm.sample_mixup(key_mix, labels.shape, alpha=alpha, pairing=partner)  # mixing
        inputs = jm.blend(mix, images, dtype=jnp.float32)  # mixing

        def loss_fn(head):
            logits = logits_of(head, trunk, inputs)
            return jm.pair_loss(mix, cross_entropy, logits, labels).mean()  # mixing

        updates, moments = OPTIMIZER.update(jax.grad(loss_fn)(head), moments)
        return (optax.apply_updates(head, updates), moments), None

    start = new_head(), OPTIMIZER.init(new_head())
    return jax.lax.scan(step, start, jax.random.split(key, 100))[0][0]


@jax.jit
def run(alpha, trunk, key, images, labels, test, ids):
    """The mean loss, and the accuracy of each draw of examples, on the pictures of the test."""
    keys = jax.random.split(key, DRAWS)
    heads = jax.vmap(partial(finetuned, trunk, alpha))(keys, images, labels)
    logits = jax.vmap(logits_of, in_axes=(0, None, None))(heads, trunk, test)
    losses = jax.vmap(cross_entropy, in_axes=(0, None))(logits, ids)
    return losses.mean(), (logits.argmax(axis=-1) == ids).mean(axis=-1)


def main():
    trunk = pretrained(seed=2)
    draws = [pictures((3, draw), EXAMPLES) for draw in range(DRAWS)]
    negatives, labels = 255 - jnp.stack([x for x, _ in draws]), jnp.stack([y for _, y in draws])
    test, ids = pictures(seed=1, count=512)
    before = jnp.log(CLASSES)  # of the new head, which gives all classes alike
    found, plain = {"before": before}, None
    for alpha in (0.0, 0.1, 1.0):
        loss, accuracy = run(alpha, trunk, jax.random.key(4), negatives, labels, 255 - test, ids)
        gain = accuracy - (plain := accuracy if plain is None else plain)
        error = gain.std(ddof=1) / DRAWS**0.5
        print(f"alpha {alpha}: clean loss {loss:.2f}, clean accuracy {accuracy.mean():.3f};")
        print(f"  gain {100 * gain.mean():+.1f} points, standard error {100 * error:.1f}")
        found |= {"after": loss, "accuracy": accuracy.mean(), alpha: gain.mean()}
    return found


if __name__ == "__main__":
    main()

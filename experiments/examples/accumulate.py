"""Gradient accumulation by optax.MultiSteps: mix the whole batch and split it, or mix each part.

- Where the whole batch is at hand, mix it and split it: this is the step without accumulation,
  whatever the number of parts. What accumulation saves are activations, so the batch fits: it was
  uint8, and the mixed floats are no more than the network's input.
- Where the parts come one by one, mix each. This is right, too, but another draw: partners are of
  the same part, and each part has a λ of its own, so a part needs two examples or more.
- Each part needs its own key. A key from the number of updates, `gradient_step`, would give all
  parts of an update the same λ and box: count the parts.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures

PARTS, BATCH = 4, 64
ONE_PIECE = optax.sgd(0.1, momentum=0.9)
ACCUMULATED = optax.MultiSteps(ONE_PIECE, every_k_schedule=PARTS)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        x = nn.relu(nn.Conv(32, (3, 3), strides=2)(x))
        return nn.Dense(CLASSES)(x.max(axis=(1, 2)))


@jax.jit
def mixed(key, images, labels):
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1])  # mixing
    inputs = (jm.blend(mix, images, dtype=jnp.float32) - 110) / 60  # mixing
    return inputs, jm.blend_labels(mix, labels, num_classes=CLASSES)  # mixing


def loss_fn(params, inputs, soft):
    return optax.softmax_cross_entropy(Net().apply(params, inputs), soft).mean()


def update(optimizer):
    @jax.jit
    def step(params, state, inputs, soft):
        grads = jax.grad(loss_fn)(params, inputs, soft)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


in_one_piece, of_a_part = update(ONE_PIECE), update(ACCUMULATED)


def split(*arrays):
    return zip(*(x.reshape(PARTS, -1, *x.shape[1:]) for x in arrays), strict=True)


def mix_then_split(params, state, key, step, images, labels):
    inputs, soft = mixed(jax.random.fold_in(key, step), images, labels)  # mixing
    for part in split(inputs, soft):
        params, state = of_a_part(params, state, *part)
    return params, state


def mix_each_part(params, state, key, step, images, labels):
    for i, part in enumerate(split(images, labels)):
        inputs, soft = mixed(jax.random.fold_in(key, PARTS * step + i), *part)  # mixing
        params, state = of_a_part(params, state, inputs, soft)
    return params, state


@jax.jit
def evaluate(params, images, labels):
    logits = Net().apply(params, (images.astype(jnp.float32) - 110) / 60)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


def first_difference(train_step, params, key):
    """The largest difference of the parameters after one update from those without accumulation."""
    _, *batch = next(batches(seed=2, steps=1, batch=BATCH))
    whole = mixed(jax.random.fold_in(key, 0), *batch)
    expected, _ = in_one_piece(params, ONE_PIECE.init(params), *whole)
    found, _ = train_step(params, ACCUMULATED.init(params), key, 0, *batch)
    differences = jax.tree.map(lambda a, b: abs(a - b).max(), found, expected)
    return max(jax.tree.leaves(differences))


def main():
    key, test = jax.random.key(1), pictures(seed=1, count=512)
    start = Net().init(jax.random.key(0), jnp.ones((1, *test[0].shape[1:])))
    before, _ = evaluate(start, *test)
    found = {"before": before}
    for name, train_step in {"split": mix_then_split, "each": mix_each_part}.items():
        difference = first_difference(train_step, start, key)
        params, state = start, ACCUMULATED.init(start)
        for step, images, labels in batches(seed=2, steps=60, batch=BATCH):
            params, state = train_step(params, state, key, step, images, labels)
        after, accuracy = evaluate(params, *test)
        print(f"{train_step.__name__}: clean loss {before:.2f} to {after:.2f},", end=" ")
        print(f"accuracy {accuracy:.2f};")
        print(f"  its first update differs by {difference:.0e} from that of the batch in one piece")
        found |= {"after": after, "accuracy": accuracy, name: difference}
    return found


if __name__ == "__main__":
    main()

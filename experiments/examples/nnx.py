"""A train step with Flax NNX: draw, mix, normalise, and weigh the loss by both labels.

- The key of a step is `fold_in(key, step)`. A run that was interrupted draws the same mixes again.
- Images stay uint8 until they are mixed. Normalise after mixing: the result is the same.
- Labels stay integer ids: `pair_loss` weighs the losses to both labels.
- The accuracy of training is that against both labels. For evaluation the same metrics get
  `no_mix`, under which every example is its own.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        return self.head(x.max(axis=(1, 2)))


def normalise(x):
    return (x.astype(jnp.float32) - 110) / 60


def metrics(mix, logits, labels):
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels
    loss = jm.pair_loss(mix, cross_entropy, logits, labels).mean()  # mixing
    return loss, jm.mixed_accuracy(mix, logits, labels).mean()  # mixing


@nnx.jit
def train_step(model, optimizer, key, images, labels):
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1])  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing

    def loss_fn(model):
        return metrics(mix, model(inputs), labels)

    (loss, accuracy), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    optimizer.update(model, grads)
    return loss, accuracy


@nnx.jit
def evaluate(model, images, labels):
    logits = model(normalise(images))
    return metrics(jm.no_mix(len(labels)), logits, labels)  # mixing


def main():
    model = Net(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    key, test = jax.random.key(1), pictures(seed=1, count=512)
    before, _ = evaluate(model, *test)
    for step, images, labels in batches(seed=2, steps=100):
        step_key = jax.random.fold_in(key, step)  # mixing
        loss, accuracy = train_step(model, optimizer, step_key, images, labels)
        if step % 33 == 0:
            print(f"step {step:2}: mixed loss {loss:.2f}, mixed accuracy {accuracy:.2f}")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, clean accuracy {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()

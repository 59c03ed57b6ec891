"""CLIP: mix the pictures only; a text then belongs to two pictures, by their weights.

- The whole batch gives the negatives, on one device or on many: run it with
  XLA_FLAGS=--xla_force_host_platform_device_count=8 to see eight.
- Picture to text is a classification whose label is the place in the batch: `pair_loss`.
- Text j belongs to picture j, and to the picture whose partner is j. `blend_labels` writes all
  weights as a matrix; its columns, made to sum to 1, are the targets of the texts. That is right
  for any partners, and adds one small all-reduce.
- For static pairings, `pair_loss(jm.inverse(mix), cross_entropy, logits.T, places)` is the same.
  With `mix` in place of its inverse it is right only where partners are mutual and share λ.
- Partners stay on their devices (`pairing_for`), so that no picture moves between devices.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm

SIDE, COLOURS, WORDS = 8, 8, 8 + 7 + 7  # a text is three words: colour, row, column


def captioned(rng, count):
    """Pictures of a 2 x 2 square on noise, uint8 [count, 8, 8, 3]; texts, i32[count, 3]."""
    which = rng.choice(COLOURS * 49, count, replace=False)  # no text is twice in a batch
    colour, row, column = np.unravel_index(which, (COLOURS, 7, 7))
    images = rng.normal(127, 20, (count, SIDE, SIDE, 3))
    bits = (colour[:, None] >> np.arange(3)) & 1
    for down, right in np.ndindex(2, 2):
        images[np.arange(count), row + down, column + right] = 255 * bits
    texts = np.stack([colour, COLOURS + row, COLOURS + 7 + column], axis=1)
    return images.clip(0, 255).astype(np.uint8), texts.astype(np.int32)


class Clip(nnx.Module):
    def __init__(self, *, rngs):
        self.image = nnx.Sequential(
            nnx.Linear(SIDE * SIDE * 3, 256, rngs=rngs), nnx.relu, nnx.Linear(256, 32, rngs=rngs)
        )
        self.words = nnx.Embed(WORDS, 32, rngs=rngs)
        self.log_scale = nnx.Param(jnp.log(10.0))

    def __call__(self, images, texts):
        """Logits [pictures, texts]."""
        unit = lambda z: z * jax.lax.rsqrt(jnp.square(z).sum(-1, keepdims=True) + 1e-6)
        pictures = unit(self.image(images.reshape(len(images), -1)))
        return jnp.exp(self.log_scale[...]) * pictures @ unit(self.words(texts).sum(axis=1)).T


def normalise(images):
    return images.astype(jnp.float32) / 127.5 - 1


def clip_loss(mix, logits):
    places = jnp.arange(len(logits))
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels
    to_text = jm.pair_loss(mix, cross_entropy, logits, places).mean()  # mixing
    weights = jm.blend_labels(mix, places, num_classes=len(logits)).T  # mixing
    targets = weights / jnp.maximum(weights.sum(axis=1, keepdims=True), 1e-6)  # mixing
    to_picture = optax.softmax_cross_entropy(logits.T, targets).mean()  # mixing
    return (to_text + to_picture) / 2


@partial(nnx.jit, static_argnames="shards")
def train_step(model, optimizer, key, images, texts, shards=1):
    pairing = jm.pairing_for(len(images), shards=shards)  # mixing
    mix = jm.sample_mixup(key, images.shape[:-1], per="example", pairing=pairing)  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing
    loss, grads = nnx.value_and_grad(lambda model: clip_loss(mix, model(inputs, texts)))(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, images, texts):
    logits = model(normalise(images), texts)
    loss = clip_loss(jm.no_mix(len(images)), logits)
    return loss, (logits.argmax(axis=1) == jnp.arange(len(images))).mean()


def main(batch=64, steps=120):
    rng, shards = np.random.default_rng(0), jax.device_count()
    mesh = jax.make_mesh((shards,), ("data",), axis_types=(AxisType.Auto,))
    place = partial(jax.device_put, device=NamedSharding(mesh, PartitionSpec("data")))
    model = Clip(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    everywhere = NamedSharding(mesh, PartitionSpec())
    for part in (model, optimizer):
        nnx.update(part, jax.device_put(nnx.state(part), everywhere))
    key, test = jax.random.key(1), place(captioned(rng, 256))
    before, _ = evaluate(model, *test)
    for step in range(steps):
        images, texts = place(captioned(rng, batch))
        step_key = jax.random.fold_in(key, step)
        loss = train_step(model, optimizer, step_key, images, texts, shards=shards)
        if step % 40 == 0 or step == steps - 1:
            print(f"step {step:3}: mixed loss {loss:.2f}")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, right texts among 256: {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()

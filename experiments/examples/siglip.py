"""SigLIP: mix the pictures only; the loss over all pairs of a batch needs no other change.

- SigLIP asks of each pair, picture i and text j, whether they belong together: a sigmoid, where
  CLIP has a softmax. This loss is linear in the answer, so `pair_loss` is right for both directions
  at once, for any partners and any λ.
- A mixed picture belongs to its own text by λ, and to its partner's text by 1 - λ.
- The whole batch gives the negatives, on one device or on many: run it with
  XLA_FLAGS=--xla_force_host_platform_device_count=8 to see eight. Partners stay on their devices
  (`pairing_for`), and mixing adds no communication.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm

COLOURS, PLACES = 8, 49  # a text is two words: a colour, and a place among 7 x 7


def captioned(rng, count):
    """Pictures of a 2 x 2 square on noise, uint8 [count, 8, 8, 3]; texts, i32[count, 2]."""
    which = rng.choice(COLOURS * PLACES, count, replace=False)  # no text is twice in a batch
    colour, place = np.divmod(which, PLACES)
    images = rng.normal(127, 20, (count, 8, 8, 3))
    bits = (colour[:, None] >> np.arange(3)) & 1
    for down, right in np.ndindex(2, 2):
        images[np.arange(count), place // 7 + down, place % 7 + right] = 255 * bits
    texts = np.stack([colour, COLOURS + place], axis=1)
    return images.clip(0, 255).astype(np.uint8), texts.astype(np.int32)


class SigLip(nnx.Module):
    def __init__(self, *, rngs):
        self.hidden = nnx.Linear(8 * 8 * 3, 256, rngs=rngs)
        self.image = nnx.Linear(256, 32, rngs=rngs)
        self.words = nnx.Embed(COLOURS + PLACES, 32, rngs=rngs)
        self.log_scale, self.bias = nnx.Param(jnp.log(10.0)), nnx.Param(jnp.float32(-10.0))

    def __call__(self, images, texts):
        """Logits [pictures, texts]."""
        unit = lambda z: z * jax.lax.rsqrt(jnp.square(z).sum(-1, keepdims=True) + 1e-6)
        hidden = nnx.relu(self.hidden(images.reshape(len(images), -1)))
        pictures, texts = unit(self.image(hidden)), unit(self.words(texts).sum(axis=1))
        return jnp.exp(self.log_scale[...]) * pictures @ texts.T + self.bias[...]


def normalise(images):
    return images.astype(jnp.float32) / 127.5 - 1


def sigmoid_loss(logits, ids):
    """For each picture the sum over all texts; text `ids[i]` is the one of picture i."""
    own = jax.nn.one_hot(ids, logits.shape[1])
    return optax.sigmoid_binary_cross_entropy(logits, own).sum(axis=1)


def siglip_loss(mix, logits):
    return jm.pair_loss(mix, sigmoid_loss, logits, jnp.arange(len(logits))).mean()  # mixing


@partial(nnx.jit, static_argnames="shards")
def train_step(model, optimizer, key, images, texts, shards=1):
    pairing = jm.pairing_for(len(images), shards=shards)  # mixing
    mix = jm.sample_mixup(key, images.shape[:-1], per="example", pairing=pairing)  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing
    loss, grads = nnx.value_and_grad(lambda model: siglip_loss(mix, model(inputs, texts)))(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, images, texts):
    logits = model(normalise(images), texts)
    loss = siglip_loss(jm.no_mix(len(images)), logits)
    return loss, (logits.argmax(axis=1) == jnp.arange(len(images))).mean()


def main(batch=64, steps=120):
    rng, shards = np.random.default_rng(0), jax.device_count()
    mesh = jax.make_mesh((shards,), ("data",), axis_types=(AxisType.Auto,))
    place = partial(jax.device_put, device=NamedSharding(mesh, PartitionSpec("data")))
    model = SigLip(rngs=nnx.Rngs(0))
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

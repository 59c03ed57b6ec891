"""bfloat16: pictures go from uint8 to mixed bfloat16, while parameters and the loss stay float32.

- Mix in float32, normalise, and cast to bfloat16 last. Under jit this is one pass, which reads
  bytes and writes bfloat16: no float32 picture is stored.
- `blend(..., dtype=jnp.bfloat16)` is one pass, too, but grey levels above 128 are rounded to whole
  ones before they are normalised. `main` shows how much that is: little, but it is avoided for
  nothing. Inputs that are bfloat16 already, such as features, stay so without `dtype`.
- λ and soft masks are float32 whatever comes in. The loss should be, too.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures


class Net(nnx.Module):
    def __init__(self, *, rngs):
        half = {"dtype": jnp.bfloat16, "param_dtype": jnp.float32, "rngs": rngs}
        self.conv1 = nnx.Conv(3, 16, (3, 3), strides=2, **half)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, **half)
        self.head = nnx.Linear(32, CLASSES, **half)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        return self.head(x.max(axis=(1, 2))).astype(jnp.float32)


def normalise(x):
    return (x.astype(jnp.float32) - 110) / 60


def mixed(mix, images, blended=jnp.float32, result=jnp.bfloat16):
    return normalise(jm.blend(mix, images, dtype=blended)).astype(result)  # mixing


@nnx.jit
def train_step(model, optimizer, key, images, labels):
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1])  # mixing
    inputs = mixed(mix, images)  # mixing

    def loss_fn(model):
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        return jm.pair_loss(mix, cross_entropy, model(inputs), labels).mean()  # mixing

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, images, labels):
    logits = model(normalise(images).astype(jnp.bfloat16))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


def rounding(key, images):
    """The mean error, in grey levels, of rounding last and of rounding in the blend."""
    mix = jax.jit(lambda key: jm.sample_mixup(key, images.shape[:1], per="example"))(key)
    compiled = jax.jit(mixed, static_argnums=(2, 3))
    exact = compiled(mix, images, jnp.float32, jnp.float32)
    both = [compiled(mix, images, dtype, jnp.bfloat16) for dtype in (jnp.float32, jnp.bfloat16)]
    return [60 * abs(x.astype(jnp.float32) - exact).mean() for x in both]


def main():
    model = Net(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    key, test = jax.random.key(1), pictures(seed=1, count=512)
    before, _ = evaluate(model, *test)
    for step, images, labels in batches(seed=2, steps=100):
        step_key = jax.random.fold_in(key, step)  # mixing
        loss = train_step(model, optimizer, step_key, images, labels)
        if step % 33 == 0:
            print(f"step {step:2}: mixed loss {loss:.2f}")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, clean accuracy {accuracy:.2f}")
    last, early = rounding(key, test[0])
    print(f"rounded last: {last:.3f} grey levels off; rounded in the blend: {early:.3f}")
    found = {"before": before, "after": after, "accuracy": accuracy}
    return found | {"rounded last": last, "rounded in the blend": early}


if __name__ == "__main__":
    main()

"""Distillation with mixing: teacher and student see the same mixed picture.

- Mix first. The teacher's answer belongs to the mixed picture, so it is a soft label already and is
  not blended again: neither λ nor the ids are needed. So did "A good teacher is patient and
  consistent" (Beyer et al. 2022, arXiv:2106.05237), with mixup.
- Blending the teacher's answers to the unmixed pictures gives another target, which is not what the
  teacher says about this input. `main` trains a student by each, and prints how far its answers are
  from the teacher's.
- The teacher runs in the step, without a gradient; its BatchNorm, if any, in evaluation mode.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        return self.head(x.max(axis=(1, 2)))


def normalise(x):
    return (x.astype(jnp.float32) - 110) / 60


def own_labels(teacher, mix, images, labels, inputs):
    return jm.blend_labels(mix, labels, num_classes=CLASSES)


def teacher_on_mixed(teacher, mix, images, labels, inputs):
    return jax.nn.softmax(teacher(inputs))  # mixing


def blended_teacher(teacher, mix, images, labels, inputs):  # not this
    return jm.blend_labels(mix, jax.nn.softmax(teacher(normalise(images))))


@partial(nnx.jit, static_argnames="target")
def train_step(model, optimizer, teacher, key, images, labels, target):
    mix = jm.sample_mixup(key, labels.shape)  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing
    soft = target(teacher, mix, images, labels, inputs)  # not in loss_fn: no gradient

    def loss_fn(model):
        return optax.softmax_cross_entropy(model(inputs), soft).mean()

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, images, labels):
    logits = model(normalise(images))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


@nnx.jit
def distance(model, teacher, key, images):
    """Between the answers to mixed pictures: the mean total variation, from 0 to 1."""
    mix = jm.sample_mixup(key, images.shape[:1], per="example")
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))
    return abs(jax.nn.softmax(model(inputs)) - jax.nn.softmax(teacher(inputs))).sum(-1).mean() / 2


def train(teacher, target, seed):
    model = Net(rngs=nnx.Rngs(seed))
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    for step, images, labels in batches(seed, steps=80):
        key = jax.random.fold_in(jax.random.key(seed), step)  # mixing
        train_step(model, optimizer, teacher, key, images, labels, target)
    return model


def main():
    test = pictures(seed=1, count=512)
    before, _ = evaluate(Net(rngs=nnx.Rngs(3)), *test)
    teacher = train(None, own_labels, seed=2)
    loss, accuracy = evaluate(teacher, *test)
    print(f"teacher: clean loss {loss:.2f}, clean accuracy {accuracy:.2f}")
    found = {"before": before}
    for target in (blended_teacher, teacher_on_mixed):
        student = train(teacher, target, seed=3)
        found["after"], found["accuracy"] = loss, accuracy = evaluate(student, *test)
        found[target.__name__] = away = distance(student, teacher, jax.random.key(4), test[0])
        print(f"{target.__name__}: clean loss {before:.2f} to {loss:.2f}, accuracy {accuracy:.2f};")
        print(f"  answers to mixed pictures are {away:.2f} from the teacher's")
    return found


if __name__ == "__main__":
    main()

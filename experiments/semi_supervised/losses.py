"""Losses on a few labelled and many unlabelled examples, each for `Recipe`.

A loss is called as `loss(task, *, augment, numbers)`. `task.batch` is a `semi.Batch`; `augment` is
`(key, x) -> x`, different at each call. The weight of the loss on unlabelled examples rises
along a ramp, since the network's predictions for them mean nothing at first.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

import jax_mixup as jm
from experiments.core.guesses import sharpen
from experiments.core.step import Metrics, Task

Augment = Callable[[PRNGKeyArray, Array], Array]
Loss = tuple[Float[Array, ""], Metrics]


class Numbers(NamedTuple):
    """What may be traced, so that one program works for all of a method's candidates."""

    alpha: float | Array = 0.0  # λ ~ Beta(α, α); 0 is off
    weight: float | Array = 0.0  # of the unlabelled examples' loss, at the ramp's end
    ramp: float | Array = 300.0  # steps until then
    weight_decay: float | Array = 0.0
    augmented: float | Array = 1.0  # 0 trains on the examples as they are


def described(name: str, numbers: Numbers) -> str:
    """The method, and those of its numbers that differ from the usual ones."""
    fields = zip(numbers._fields, numbers, Numbers(), strict=True)
    return ", ".join(
        [name, *(f"{field} {mine:g}" for field, mine, usual in fields if mine != usual)]
    )


def ramp(step: Array, steps: float | Array) -> Float[Array, ""]:
    """From 0 to 1 along a line, and 1 from then on."""
    return jnp.clip(step / jnp.maximum(steps, 1.0), 0.0, 1.0)


def guess(model: Any, views: Sequence[Array], temperature: float = 0.5) -> Float[Array, "u k"]:
    """MixMatch's label for examples without one: sharpened means over views. No gradient."""
    p = jnp.stack([jax.nn.softmax(model(view, train=False)) for view in views]).mean(axis=0)
    return jax.lax.stop_gradient(sharpen(p, temperature))


def supervised(task: Task, *, augment: Augment, numbers: Numbers) -> Loss:
    """Labelled examples alone, with mixup if α > 0."""
    keys, batch = jax.random.split(task.key, 3), checked(task.batch)
    mix = jm.sample_mixup(keys[0], batch.y.shape, alpha=numbers.alpha)
    x = jm.blend(mix, augment(keys[1], batch.x))
    logits = task.student(x, train=True, key=keys[2])
    return jm.pair_loss(mix, cross_entropy, logits, batch.y).mean(), {}


def pseudo_labels(
    task: Task, *, augment: Augment, numbers: Numbers, threshold: float = 0.95
) -> Loss:
    """The network's own argmax as a label, where it is sure of it."""
    keys, batch = jax.random.split(task.key, 4), checked(task.batch)
    p = jax.nn.softmax(task.student(augment(keys[0], batch.unlabelled), train=False))
    sure = jax.lax.stop_gradient(p.max(axis=-1) >= threshold)
    x = [augment(keys[1], batch.x), augment(keys[2], batch.unlabelled)]
    own, free = both(task, keys[3], x)
    missed = (cross_entropy(free, p.argmax(axis=-1)) * sure).mean()
    return total(task, numbers, cross_entropy(own, batch.y).mean(), missed)


def mean_teacher(task: Task, *, augment: Augment, numbers: Numbers) -> Loss:
    """The student's prediction for one view should be its averaged weights' for another.

    Tarvainen and Valpola 2017, arXiv:1703.01780.
    """
    keys, batch = jax.random.split(task.key, 4), checked(task.batch)
    wanted = told(task, augment(keys[0], batch.unlabelled))
    x = [augment(keys[1], batch.x), augment(keys[2], batch.unlabelled)]
    own, free = both(task, keys[3], x)
    missed = jnp.square(jax.nn.softmax(free) - wanted).mean()
    return total(task, numbers, cross_entropy(own, batch.y).mean(), missed)


def ict(task: Task, *, augment: Augment, numbers: Numbers) -> Loss:
    """The student's prediction for a mixed example should be the mix of the teacher's for the two.

        f(Mix(u_j, u_k)) ≈ Mix(f'(u_j), f'(u_k))

    Verma et al. 2019, arXiv:1903.03825.
    """
    keys, batch = jax.random.split(task.key, 4), checked(task.batch)
    seen = augment(keys[0], batch.unlabelled)
    mix = jm.sample_mixup(keys[1], seen.shape[:1], alpha=numbers.alpha)
    wanted = jm.blend_labels(mix, told(task, seen))
    own, free = both(task, keys[3], [augment(keys[2], batch.x), jm.blend(mix, seen)])
    missed = jnp.square(jax.nn.softmax(free) - wanted).mean()
    return total(task, numbers, cross_entropy(own, batch.y).mean(), missed)


def mixmatch(task: Task, *, augment: Augment, numbers: Numbers, views: int = 2) -> Loss:
    """All labelled and unlabelled examples in one batch, each mixed with any other.

    λ is folded, so that a labelled example stays mostly labelled: its loss is the cross-entropy,
    that of the others the squared error. Berthelot et al. 2019, arXiv:1905.02249.
    """
    key_batch, key_model = jax.random.split(task.key)
    x, labels = mixmatch_batch(task, key_batch, augment=augment, alpha=numbers.alpha, views=views)
    logits, b = task.student(x, train=True, key=key_model), len(task.batch.y)
    own = optax.softmax_cross_entropy(logits[:b], labels[:b]).mean()
    missed = jnp.square(jax.nn.softmax(logits[b:]) - labels[b:]).mean()
    return total(task, numbers, own, missed)


def mixmatch_batch(
    task: Task, key: PRNGKeyArray, *, augment: Augment, alpha: float | Array, views: int = 2
) -> tuple[Float[Array, "n ..."], Float[Array, "n k"]]:
    """MixMatch's mixed inputs and labels: the labelled examples, then `views` times the others."""
    batch, (key_x, key_mix, key_pair, *keys) = (
        checked(task.batch),
        jax.random.split(key, 3 + views),
    )
    seen = [augment(k, batch.unlabelled) for k in keys]
    guessed = guess(task.student, seen)
    inputs = jnp.concatenate([augment(key_x, batch.x), *seen])
    own = jax.nn.one_hot(batch.y, guessed.shape[-1])
    labels = jnp.concatenate([own, *[guessed] * views])
    n = len(inputs)
    partner, law = jm.permutation(key_pair, n), jm.folded_beta(alpha)
    mix = jm.sample_mixup(key_mix, (n,), lam_law=law, per="example", pairing=partner)
    return jm.blend(mix, inputs), jm.blend_labels(mix, labels)


def checked(batch: Any) -> Any:
    """The batch, if there is something to learn from it."""
    if not len(batch.unlabelled) or batch.unlabelled.shape[1:] != batch.x.shape[1:]:
        raise ValueError(
            f"A loss got unlabelled examples of shape {batch.unlabelled.shape} and labelled ones "
            f"of shape {batch.x.shape}; it needs one or more, each shaped like a labelled one."
        )
    if batch.y.shape != batch.x.shape[:1]:
        raise ValueError(
            f"A loss got labels of shape {batch.y.shape} for {len(batch.x)} labelled examples; it "
            "needs one class id for each."
        )
    return batch


def both(task: Task, key: PRNGKeyArray, x: list[Array]) -> list[Array]:
    """The student's logits for labelled and other inputs, in one pass: BatchNorm sees them all."""
    logits = task.student(jnp.concatenate(x), train=True, key=key)
    return jnp.split(logits, [len(x[0])])


def told(task: Task, x: Array) -> Float[Array, "u k"]:
    """The teacher's predictions."""
    return jax.lax.stop_gradient(jax.nn.softmax(task.teacher(x, train=False)))


def total(task: Task, numbers: Numbers, own: Array, missed: Array) -> Loss:
    weight = numbers.weight * ramp(task.step, numbers.ramp)
    return own + weight * missed, {"labelled": own, "unlabelled": missed}


cross_entropy = optax.softmax_cross_entropy_with_integer_labels

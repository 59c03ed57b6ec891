"""The methods that `experiments.family` compares: for each its loss in a train step.

Methods that only draw a mix come from `experiments.catalogue`. Those that take part in the model,
the loss or the schedule are here. A loss gets the `Task`, pictures and class ids; models are those
of `models/family.py`. The options are those that the papers give for small pictures, where they do,
or the defaults.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments import catalogue
from experiments.core.step import Task
from experiments.draws import Draw, Options
from jax_mixup import learned

Pictures = Float[Array, "b h w c"]
Ids = Int[Array, "b"]
Loss = Callable[[Task, Pictures, Ids], Float[Array, ""]]
HIDDEN = 2  # after this layer features are mixed, where a method mixes features at one place
PLAIN = "plain"


def cross_entropy(logits: Float[Array, "b k"], y: Ids) -> Float[Array, "b"]:
    return optax.softmax_cross_entropy_with_integer_labels(logits, y)


def trained(task: Task, x: Pictures, **options: Any) -> Float[Array, "b k"]:
    return task.student(x, train=True, key=task.key, **options)


def on(
    task: Task, mix: Any, x: Pictures, y: Ids, *, other: Any = None, **options: Any
) -> Float[Array, ""]:
    """The loss on pictures blended by a mix."""
    logits = trained(task, jm.blend(mix, x, other=other), **options)
    return jm.pair_loss(mix, cross_entropy, logits, y).mean()


def in_features(
    task: Task, mix: Any, x: Pictures, y: Ids, change: Callable[[Array], Array]
) -> Float[Array, ""]:
    """The loss where `change` is made to hidden features."""
    logits = trained(task, x, tap=lambda i, h: change(h) if i == HIDDEN else h)
    return jm.pair_loss(mix, cross_entropy, logits, y).mean()


def features(model: Any, x: Pictures, layer: int) -> Array:
    """What a layer of the model, which does not learn here, makes of pictures."""
    kept = {}
    model(x, train=False, tap=lambda i, h: kept.setdefault(i, h))
    return jax.lax.stop_gradient(kept[layer])


def nothing(task: Task, x: Pictures, y: Ids) -> None:
    """What draws that follow no array follow."""


def spectral(task: Task, x: Pictures, y: Ids) -> Float[Array, "b h w"]:
    return jm.spectral_residual(x, size=min(x.shape[1], 64), blur=1.0)


def gradient(task: Task, x: Pictures, y: Ids) -> Float[Array, "b h w"]:
    return jm.gradient_saliency(lambda x: cross_entropy(task.teacher(x, train=False), y), x)


def plain(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    return cross_entropy(trained(task, x), y).mean()


def smoothed(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    target = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
    return optax.softmax_cross_entropy(trained(task, x), target).mean()


def by_recipe(recipe: Callable) -> Loss:
    def loss(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
        x, soft = recipe(task.key, x, y, num_classes=10)
        return optax.softmax_cross_entropy(trained(task, x), soft).mean()

    return loss


def in_block(change: Callable[[jm.Mix, Array], Array], sampler: Callable) -> Loss:
    """Hidden features changed by `change(mix, h)`."""

    def loss(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
        shape = jax.eval_shape(lambda: features(task.teacher, x, HIDDEN)).shape
        mix = sampler(task.key, shape[:-1])
        return in_features(task, mix, x, y, partial(change, mix))

    return loss


def snapmix(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    """Class activation: the last features weighted by the head's row of the label."""
    last = features(task.teacher, x, 4)
    cam = jnp.einsum("bhwc,cb->bhw", last, task.teacher.net.head.kernel[...][:, y])
    cam = jax.image.resize(cam, x.shape[:3], "linear")
    mix, source, total = jm.sample_snapmix(task.key, jax.lax.stop_gradient(cam))
    logits = trained(task, jm.blend(mix, x, other=jm.fit_partner(mix, x, source=source)))
    return (total * jm.pair_loss(mix, cross_entropy, logits, y)).mean()


def manifold(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    key_layer, key = jax.random.split(task.key)
    mix, layer = jm.sample_mixup(key, y.shape, alpha=2.0), jax.random.randint(key_layer, (), 0, 3)
    logits = trained(task, x, tap=lambda i, h: jm.blend_at(mix, h, layer=layer, at=i))
    return jm.pair_loss(mix, cross_entropy, logits, y).mean()


def noisy_features(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    key_layer, key_noise, key = jax.random.split(task.key, 3)
    mix, layer = jm.sample_mixup(key, y.shape), jax.random.randint(key_layer, (), 0, 3)

    def tap(i: int, h: Array) -> Array:
        noisy = jm.add_noise(jax.random.fold_in(key_noise, i), jm.blend(mix, h))
        return jnp.where(layer == i, noisy, h)

    logits = trained(task, x, tap=tap)
    return jm.pair_loss(mix, cross_entropy, logits, y).mean()


def regmixup(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    mix = jm.sample_mixup(task.key, y.shape, alpha=20.0)
    logits = trained(task, jnp.concatenate([x, jm.blend(mix, x)]))
    return jm.regmixup_loss(mix, cross_entropy, logits, y).mean() / 2


def decoupled(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    mix = jm.sample_mixup(task.key, y.shape)
    return jm.decoupled_loss(mix, trained(task, jm.blend(mix, x)), y).mean()


def mixupe(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    mix = jm.sample_mixup(task.key, y.shape, alpha=2.0)
    own, mixed = jnp.split(trained(task, jnp.concatenate([x, jm.blend(mix, x)])), 2)
    loss = jm.pair_loss(mix, cross_entropy, mixed, y).mean()
    return loss + 0.001 * jm.mixupe_penalty(own, y, alpha=2.0).mean()


def hesitant(steps: int, task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    prob = jm.hesitation(task.step, steps=steps, turn=max(1, steps // 20))
    return on(task, jm.sometimes(jm.sample_mixup, prob)(task.key, y.shape), x, y)


def aligned(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    mix = jm.sample_mixup(task.key, y.shape, alpha=2.0)
    change = lambda h: jm.blend(mix, h, other=jm.align_partner(mix, h, iterations=20))
    return in_features(task, mix, x, y, change)


def automix(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    z = features(task.teacher, x, 3)
    mix = learned.sample_automix(task.key, task.student.block, z, x.shape[1:-1])
    judged = task.teacher(jm.blend(mix, x), train=False)
    generated = jm.pair_loss(mix, cross_entropy, judged, y).mean() + 0.1 * jm.mask_loss(mix)
    return on(task, jax.lax.stop_gradient(mix), x, y) + generated


def adautomix(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    z = features(task.teacher, x, 3)
    mixes = learned.sample_adautomix(task.key, task.student.block, z, x.shape[1:-1])
    judged = task.teacher(jm.blend(mixes, x), train=False)
    losses = jm.pair_loss(mixes, cross_entropy, judged, y)
    clean = task.teacher(x, train=False)
    against = jm.adautomix_loss(mixes, losses, judged, clean)
    adversary = jnp.where(task.step % 2 == 0, against, losses.mean())
    return on(task, jax.lax.stop_gradient(mixes), x, y) + adversary


def adamixup(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    student: Any = task.student
    mix = learned.sample_adamixup(task.key, student.region, x)
    kept = {}
    both = jnp.concatenate([x, jm.blend(mix, x)])
    own, mixed = jnp.split(trained(task, both, tap=lambda i, h: kept.setdefault(i, h)), 2)
    real, blended = jnp.split(student.intruder(kept[4].mean((1, 2)))[:, 0], 2)
    loss = cross_entropy(own, y).mean() + jm.pair_loss(mix, cross_entropy, mixed, y).mean()
    return loss + jm.intrusion_loss(real, blended)


def mixed_style(mix: jm.Mix, h: Array) -> Array:
    return jm.blend_moments(mix, h, axes=(1, 2), detach=True)


def exchanged(mix: jm.Mix, h: Array) -> Array:
    return jm.blend_moments(mix, h, axes=(-1,), epsilon=1e-5)


def exchange(key: PRNGKeyArray, shape: tuple[int, ...]) -> jm.Mix:
    """MoEx: the partner's moments, and a tenth of its label."""
    return jm.Mix(jm.reverse(), jnp.zeros(1), jnp.full(shape[0], 0.9))


FOLLOWED = {"": nothing, "spectral": spectral, "features": gradient, "gradient": gradient}


def by_draw(draw: Draw, options: Options) -> Loss:
    """The loss on pictures mixed by a draw of the catalogue."""

    def loss(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
        made = FOLLOWED[draw.follows](task, x, y)
        mix, own, other = draw(task.key, x, y, made, **options)
        return on(task, mix, own, y, other=other)

    return loss


def drawn(*takes: str) -> dict[str, Loss]:
    """The draws of the catalogue that take this."""
    return {
        name: by_draw(draw, options)
        for draw in catalogue.draws()
        for name, options in draw.family.items()
        if draw.takes in takes
    }


STYLE = jm.own_label(partial(jm.sample_mixup, lam_law=jm.beta(0.1, 0.1), per="example"))
IN_BLOCK: dict[str, Loss] = {
    "MixStyle": in_block(mixed_style, jm.sometimes(STYLE, 0.5)),
    "MoEx": in_block(exchanged, jm.sometimes(exchange, 0.5)),
    "PatchUp": in_block(jm.blend, partial(jm.sample_patchup, block=3)),
}


def table(steps: int) -> dict[str, Loss]:
    """All methods, by name; the first is what gains are over."""
    recipes = {m.family: by_recipe(getattr(jm, m.call)) for m in catalogue.methods() if m.family}
    return {
        PLAIN: plain,
        "label smoothing 0.1": smoothed,
        **drawn("shape"),
        **recipes,
        **drawn("labels", "images"),
        **IN_BLOCK,
        **drawn("spectral", "features", "gradient"),
        "SnapMix": snapmix,
        "AlignMix": aligned,
        "manifold mixup": manifold,
        "noisy feature mixup": noisy_features,
        "RegMixup": regmixup,
        "decoupled mixup": decoupled,
        "MixupE": mixupe,
        "mixup without hesitation": partial(hesitant, steps),
        "AdaMixUp": adamixup,
        "AutoMix": automix,
        "AdAutoMix": adautomix,
    }

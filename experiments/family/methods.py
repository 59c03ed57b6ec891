"""The methods that `experiments.family` compares: for each its loss in a train step, in one line.

A loss gets the `Task`, pictures and class ids; models are those of `models/family.py`. The
options are those that the papers give for small pictures, where they do, or the defaults.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core.step import Task
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


def spectral(task: Task, x: Pictures, y: Ids) -> Float[Array, "b h w"]:
    return jm.spectral_residual(x, size=min(x.shape[1], 64), blur=1.0)


def gradient(task: Task, x: Pictures, y: Ids) -> Float[Array, "b h w"]:
    return jm.gradient_saliency(lambda x: cross_entropy(task.teacher(x, train=False), y), x)


def plain(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    return cross_entropy(trained(task, x), y).mean()


def smoothed(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    target = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
    return optax.softmax_cross_entropy(trained(task, x), target).mean()


def by_shape(sampler: Callable) -> Loss:
    return lambda task, x, y: on(task, sampler(task.key, x.shape[:-1]), x, y)


def by_recipe(recipe: Callable) -> Loss:
    def loss(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
        x, soft = recipe(task.key, x, y, num_classes=10)
        return optax.softmax_cross_entropy(trained(task, x), soft).mean()

    return loss


def by_partner(partner: Callable) -> Loss:
    """Mixup with partners `partner(key, x, y)`."""

    def loss(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
        key_pair, key = jax.random.split(task.key)
        return on(task, jm.sample_mixup(key, y.shape, pairing=partner(key_pair, x, y)), x, y)

    return loss


def by_saliency(sampler: Callable, of: Callable) -> Loss:
    return lambda task, x, y: on(task, sampler(task.key, of(task, x, y)), x, y)


def in_block(change: Callable[[jm.Mix, Array], Array], sampler: Callable) -> Loss:
    """Hidden features changed by `change(mix, h)`."""

    def loss(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
        shape = jax.eval_shape(lambda: features(task.teacher, x, HIDDEN)).shape
        mix = sampler(task.key, shape[:-1])
        return in_features(task, mix, x, y, partial(change, mix))

    return loss


def local(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    mix = jm.sample_mixup(task.key, y.shape)
    distance = jnp.sqrt(jnp.square(x - jm.take_partner(mix, x)).sum((1, 2, 3)))
    return on(task, jm.keep_local(mix, x, radius=jnp.median(distance)), x, y)


def guided(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    saliency = spectral(task, x, y)
    pairs = jm.salient_pairs(saliency, blur=1.0)
    mix = jm.sample_guidedmixup(task.key, saliency, blur=1.0, pairing=pairs)
    return on(task, mix, x, y)


def snapmix(task: Task, x: Pictures, y: Ids) -> Float[Array, ""]:
    """Class activation: the last features weighed by the head's row of the label."""
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


def three_boxes(key: PRNGKeyArray, shape: tuple[int, ...]) -> tuple[jm.Mix, ...]:
    first, second = jax.random.split(key)
    lower = jm.sample_cutmix(first, shape, pairing=jm.roll(1))
    return jm.overlay(lower, jm.sample_cutmix(second, shape, pairing=jm.roll(2)))


def table(steps: int) -> dict[str, Loss]:
    """All methods, by name; the first is what gains are over."""
    by_key = {
        "mixup": jm.sample_mixup,
        "CutMix": jm.sample_cutmix,
        "mixup or CutMix (DeiT)": jm.sample_mixup_or_cutmix,
        "FMix": jm.sample_fmix,
        "GridMix 4 × 4": partial(jm.sample_gridmix, grid=(4, 4)),
        "GridMixup": jm.sample_gridmixup,
        "SmoothMix": jm.sample_smoothmix,
        "HMix": jm.sample_hmix,
        "GMix": jm.sample_gmix,
        "CowMix": partial(jm.sample_cowmix, sigma=(1.0, 4.0)),
        "VH-mixup": jm.sample_vhmixup,
        "TokenMix": partial(jm.sample_tokenmix, grid=(8, 8), least=4),
        "RICAP": jm.sample_ricap,
        "three rows, Dirichlet": partial(jm.sample_dirichlet, k=3),
        "three rows, boxes": three_boxes,
        "SamplePairing": jm.own_label(partial(jm.sample_mixup, lam_law=jm.constant(0.5))),
    }
    by_call = {"ResizeMix": jm.resizemix, "RandomMix": jm.randommix, "StackMix": jm.stackmix}
    partners = {
        "mixup, same class": lambda key, x, y: jm.within_class(key, y),
        "mixup, other class": lambda key, x, y: jm.across_class(key, y),
        "mixup, nearest 5": lambda key, x, y: jm.nearest(key, x, k=5),
        "k-mixup, k = 8": lambda key, x, y: jm.transported(key, x, k=8),
    }
    law = jm.beta(0.1, 0.1)
    style = jm.own_label(partial(jm.sample_mixup, lam_law=law, per="example"))
    moex = lambda key, shape: jm.Mix(jm.reverse(), jnp.zeros(1), jnp.full(shape[0], 0.9))
    moments = lambda axes, **how: lambda mix, h: jm.blend_moments(mix, h, axes=axes, **how)
    hidden = {
        "MixStyle": (moments((1, 2), detach=True), jm.sometimes(style, 0.5)),
        "MoEx": (moments((-1,), epsilon=1e-5), jm.sometimes(moex, 0.5)),
        "PatchUp": (jm.blend, partial(jm.sample_patchup, block=3)),
    }
    followed = {
        "SaliencyMix": (jm.sample_saliencymix, spectral),
        "Attentive CutMix": (partial(jm.sample_attentive_cutmix, grid=(4, 4), k=2), gradient),
        "Saliency Grafting": (partial(jm.sample_grafting, grid=(4, 4)), gradient),
        "Puzzle Mix": (partial(jm.sample_puzzlemix, grid=(4, 4), iterations=50), gradient),
    }
    return {
        PLAIN: plain,
        "label smoothing 0.1": smoothed,
        **{name: by_shape(sampler) for name, sampler in by_key.items()},
        **{name: by_recipe(recipe) for name, recipe in by_call.items()},
        **{name: by_partner(partner) for name, partner in partners.items()},
        "Local Mixup": local,
        **{name: in_block(*pair) for name, pair in hidden.items()},
        **{name: by_saliency(*pair) for name, pair in followed.items()},
        "GuidedMixup": guided,
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

"""Mixing scenes together with their boxes, training a detector on them, and drawing both."""

import functools
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import jax_mixup as jm
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data.scenes import Found, Scenes
from experiments.models import detector
from experiments.models.detector import Detector

KINDS = ("plain", "mixup", "CutMix", "mosaic", "copy-paste")
LEAST = 0.3  # a box counts if at least this fraction of it is visible
SHOWN = 0.4  # the least score of a detection in the picture

Ids = Int[Array, "b s s"]  # whose ink is at each position, from 1 in the order of the lists
Row = tuple[str, float, float]  # a name, a gain and half of its interval


class Method(NamedTuple):
    """Traced numbers, so that one compiled program works for all methods."""

    kind: float = 0.0  # place in KINDS
    alpha: float = 1.0  # of mixup and CutMix
    jitter: float = 0.0  # strength of random shifts and scales; 0 is off
    weight_decay: float = 1e-2


class Setting(NamedTuple):
    """What all methods share."""

    num_classes: int
    batch: int
    steps: int
    rate: float = 4e-3


class Data(NamedTuple):
    train: Scenes
    ids: Any  # of the training scenes
    test: Scenes


def mixed(
    kind: str, key: PRNGKeyArray, scenes: Scenes, ids: Ids, alpha: float | Array = 1.0
) -> Scenes:
    """Mix a batch with itself; the lists of objects become twice as long, or four times."""
    batch, *spatial, _ = scenes.images.shape
    if kind == "plain":
        return scenes
    if kind == "mosaic":
        down, right = cuts(key, batch, (spatial[0], spatial[1]))
        return joined(down, joined(right, scenes))
    if kind == "copy-paste":
        return pasted(key, scenes, ids, alpha)
    sampler = jm.sample_mixup if kind == "mixup" else jm.sample_cutmix
    return joined(sampler(key, (batch, *spatial), alpha=alpha, per="example"), scenes)


def joined(mix: jm.Mix, scenes: Scenes) -> Scenes:
    """Images are blended; objects are not: those of both examples stay, with weights."""
    images, boxes, weights, labels, points, visible = scenes
    objects = jm.mix_boxes(mix, boxes, weights, labels, min_visible=LEAST)
    return Scenes(jm.blend(mix, images), *objects, *jm.mix_points(mix, points, visible))


def pasted(key: PRNGKeyArray, scenes: Scenes, ids: Ids, alpha: float | Array) -> Scenes:
    """Some digits of another scene are pasted; boxes are those of the ink that is still seen."""
    images, _, weights, labels, points, visible = scenes
    mix = jm.sample_copy_paste(key, ids, num_objects=weights.shape[1], alpha=alpha)
    objects = jm.mix_objects(mix, ids, weights, labels, min_visible=LEAST)
    _, _, boxes, weights, _, _, labels = objects
    points, visible = jm.mix_points(mix, points, visible)
    return Scenes(jm.blend(mix, images), boxes, weights, labels, points, visible)


def cuts(key: PRNGKeyArray, batch: int, size: tuple[int, int]) -> tuple[jm.Mix, jm.Mix]:
    """Mosaic: what lies below a random row, and right of a random column, is of other scenes.

    Applied one after the other they put four scenes into one, each at its own place.
    """
    share = jax.random.uniform(key, (2, batch, 1, 1), minval=0.25, maxval=0.75)
    mixes = []
    for axis, shift in ((0, 2), (1, 1)):
        cut = jnp.round(share[axis] * size[axis])
        place = jnp.arange(size[axis]).reshape((1, -1, 1) if axis == 0 else (1, 1, -1))
        mask = jnp.broadcast_to(place < cut, (batch, *size))
        mixes.append(jm.Mix(jm.roll(shift), mask, mask.mean((1, 2))))
    return mixes[0], mixes[1]


def jittered(
    key: PRNGKeyArray, scenes: Scenes, ids: Ids, strength: float | Array
) -> tuple[Scenes, Ids]:
    """Scale each scene by 1/1.3 to 1.3 and shift it by up to an eighth, times the strength."""
    size = scenes.images.shape[1]
    u = jax.random.uniform(key, (3, len(scenes.images)), minval=-1.0, maxval=1.0) * strength
    scale = jnp.exp(u[0] * jnp.log(1.3))
    shift = u[1:].T * size / 8 + (1 - scale[:, None]) * size / 2
    move = partial(jax.image.scale_and_translate, method="linear", antialias=False)
    image = lambda x, scale, shift: move(x, x.shape, (0, 1), jnp.stack([scale, scale]), shift)
    moved = lambda places, shift: places * scale[:, None, None] + shift[:, None]
    boxes = moved(scenes.boxes, jnp.tile(shift, 2))
    points, clipped = moved(scenes.points, shift), jnp.clip(boxes, 0, size)
    seen = area(clipped) >= LEAST * area(boxes)
    inside = ((points >= 0) & (points < size)).all(axis=-1)
    scenes = scenes._replace(
        images=jax.vmap(image)(scenes.images, scale, shift),
        boxes=jnp.where(seen[..., None], clipped, boxes),
        weights=scenes.weights * jnp.where(seen & (area(boxes) > 0), 1.0, 0.0),
        points=points,
        visible=scenes.visible * jnp.where(inside, 1.0, 0.0),
    )
    return scenes, jax.vmap(moved_ids)(ids, scale, shift)


def moved_ids(ids: Int[Array, "s s"], scale: Array, shift: Array) -> Int[Array, "s s"]:
    """Each position gets the id of the nearest one that it comes from; 0 from outside."""
    places = (jnp.arange(len(ids)) + 0.5 - shift[:, None]) / scale
    row, column = jnp.floor(places).astype(jnp.int32)
    inside = (places >= 0) & (places < len(ids))
    return jnp.where(inside[0][:, None] & inside[1], ids[row[:, None], column], 0)


def area(boxes: Float[Array, "b n 4"]) -> Float[Array, "b n"]:
    return jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)


def padded(scenes: Scenes, most: int) -> Scenes:
    """Room for `most` objects; what is added has weight 0."""
    images, *lists = scenes
    room = lambda a: jnp.pad(a, [(0, 0), (0, most - a.shape[1])] + [(0, 0)] * (a.ndim - 2))
    return Scenes(images, *map(room, lists))


def loss(method: Method, task: Task) -> tuple[Float[Array, ""], Metrics]:
    """The detector's, on a batch that is jittered and then mixed."""
    key_jitter, key_mix = jax.random.split(task.key)
    scenes, ids = task.batch
    scenes, ids = jittered(key_jitter, scenes, ids, method.jitter)
    most = 4 * scenes.weights.shape[1]
    kinds = [lambda *given, kind=kind: padded(mixed(kind, *given), most) for kind in KINDS]
    kind = jnp.asarray(method.kind, jnp.int32)
    scenes = jax.lax.switch(kind, kinds, key_mix, scenes, ids, method.alpha)
    maps = task.student(scenes.images, train=True)
    return detector.loss(maps, scenes.boxes, scenes.weights, scenes.labels), {}


@functools.cache
def study_of(setting: Setting) -> SeedTrainer:
    """Trainer for all seeds of a method; `.apply` gives what is found on the test scenes."""

    def recipe_of(method: Method) -> Recipe:
        make_model = lambda rngs: Detector(setting.num_classes, rngs=rngs)
        rates = optax.cosine_decay_schedule(setting.rate, setting.steps)
        optimizer = optax.adamw(rates, weight_decay=method.weight_decay)
        return Recipe(make_model, optimizer, partial(loss, method))

    def batch_of(key: PRNGKeyArray, data: Data) -> tuple[Scenes, Ids]:
        rows = jax.random.randint(key, (setting.batch,), 0, len(data.train.images))
        return jax.tree.map(lambda part: jnp.take(part, rows, axis=0), (data.train, data.ids))

    def score(model: Any, data: Data) -> Metrics:
        test = data.test
        return {"loss": detector.loss(model(test.images), test.boxes, test.weights, test.labels)}

    def look(model: Any, data: Data) -> Found:
        return Found(*detector.detect(model(data.test.images)))

    return batch_trainer(recipe_of, batch_of, score, look=look)


def picture(path: Path, title: str, data: Data, found: dict[str, list], rows: list[Row]) -> None:
    """A scene under each kind of mix, detections on a new scene, and the scores' gains."""
    figure = Figure(figsize=(15, 6.6), layout="constrained")
    panes = figure.subplots(2, len(KINDS))
    scenes, ids = jax.tree.map(lambda a: jnp.asarray(a[:4]), (data.train, data.ids))
    for axes, kind in zip(panes[0], KINDS, strict=True):
        made = mixed(kind, jax.random.key(11), scenes, ids, alpha=1.5)
        draw(axes, jax.tree.map(lambda a: np.asarray(a[0]), made))
        axes.set_title("a training scene" if kind == "plain" else kind)
    truth = jax.tree.map(lambda a: np.asarray(a[0]), data.test)
    draw(panes[1, 0], truth)
    panes[1, 0].set_title("a test scene")
    for axes, (name, detections) in zip(panes[1, 1:4], found.items(), strict=True):
        axes.imshow(truth.images[..., 0], cmap="gray_r", vmin=0, vmax=1)
        for score, label, box in zip(*detections, strict=True):
            if score > SHOWN:
                outline(axes, np.array(box), f"{label:.0f}: {score:.1f}", "#0072B2", 1.0)
        axes.set_title(f"found: {name}")
    for axes in panes.flat[:-1]:
        axes.set(xticks=[], yticks=[], xlim=(-0.5, 31.5), ylim=(31.5, -0.5))
    bars(panes[1, 4], rows)
    figure.suptitle(title, size=11)
    figure.savefig(path, dpi=150)


def draw(axes: Axes, scene: Scenes) -> None:
    """The image with the objects that count: class and weight, and the centre if visible."""
    axes.imshow(scene.images[..., 0], cmap="gray_r", vmin=0, vmax=1)
    for box, weight, label, point, visible in zip(*scene[1:], strict=True):
        if weight > 0:
            outline(axes, box, f"{label}: {weight:.2g}", "#D55E00", 0.3 + 0.7 * weight)
        if visible > 0:
            axes.plot(point[1] - 0.5, point[0] - 0.5, "+", color="#009E73")


def outline(axes: Axes, box: np.ndarray, text: str, colour: str, alpha: float) -> None:
    y0, x0, y1, x1 = box - 0.5  # a pixel's centre is its number
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, alpha=alpha, lw=2))
    axes.text(x0, y0 - 0.3, text, color=colour, size=9, clip_on=True)


def bars(axes: Axes, rows: list[Row]) -> None:
    """Gains with their intervals, one above the other."""
    for place, (_, gain, half) in enumerate(rows):
        axes.errorbar(gain, place, xerr=half, fmt="o", color="#0072B2", capsize=3)
    axes.axvline(0, color="#333333", lw=1)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.yaxis.tick_right()
    axes.set(ylim=(len(rows) - 0.5, -0.5), title="points of AP gained over plain")
    axes.spines[["top", "left"]].set_visible(False)

"""The train step on eight devices: however it is spread, it is the same step."""

import functools
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.core import classify, devices
from experiments.core.classify import by_shape, cross_entropy
from experiments.core.step import init, train_step
from experiments.data import augment
from experiments.models.resnet import ResNet
from experiments.models.vit import ViT

pytestmark = pytest.mark.slow  # networks train here

SEED = 5
KEY = jax.random.key(SEED)
# Not Adam: it would blow the rounding of gradients that are 0 up to whole steps.
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.05, momentum=0.9))
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)
LABELS = np.arange(16, dtype=np.int32) % 5


class Net(nnx.Module):
    """Two layers, maybe with BatchNorm between them, that keep what they were given.

    The statistics after a step show its inputs, and a draw by its key.
    """

    def __init__(self, rows, norm, rngs):
        self.wide = nnx.Linear(192, 64, rngs=rngs)
        self.norm = nnx.data(nnx.BatchNorm(64, rngs=rngs) if norm else None)
        self.head = nnx.Linear(64, 5, rngs=rngs)
        self.seen = nnx.BatchStat(jnp.zeros((rows, 8, 8, 3)))
        self.drawn = nnx.BatchStat(jnp.zeros(()))

    def __call__(self, x, *, train, key):
        if train:
            self.seen[...] = x * augment.STD + augment.MEAN
            self.drawn[...] = jax.random.uniform(key)
        x = self.wide(x.reshape(x.shape[0], -1))
        if self.norm is not None:
            x = self.norm(x, use_running_average=not train)
        return self.head(nnx.relu(x))


PLAIN, NORMED = partial(Net, 16, False), partial(Net, 16, True)


def mesh_of(n):
    return jax.make_mesh((n,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:n])


def recipe_of(make_model, sampler=None, optimizer=OPTIMIZER):
    draw = sampler and by_shape(sampler)
    normalise = lambda x: (x - augment.MEAN) / augment.STD
    return classify.recipe(make_model, optimizer, draw, normalise=normalise, smoothing=0.1)


def step_of(make_model, sampler, **options):
    return partial(train_step, recipe_of(make_model, sampler), **options)


@functools.cache
def start(make_model):
    """On the host, since a step gives the arrays it gets away."""
    return jax.device_get(jax.jit(partial(init, recipe_of(make_model)))(jax.random.key(0)))


def local_rows(*arrays):
    """This process's part of a batch: all of it, unless there are more processes."""
    return [np.split(a, jax.process_count())[jax.process_index()] for a in arrays]


def run(make_model, mesh, *, fsdp=False, per="batch", groups=8, steps=2):
    """A few steps under jit: the state and the metrics of each step."""
    state = start(make_model)
    sampler = partial(jm.sample_mixup, per=per, pairing=jm.reverse(groups=groups))
    placed = devices.shardings(mesh, state, fsdp=fsdp, smallest=4096)
    everywhere = NamedSharding(mesh, PartitionSpec())
    step = step_of(make_model, sampler, gathered=everywhere if fsdp else None)
    step = devices.jit_step(step, mesh, placed)
    state, key = jax.device_put(state, placed), devices.key_on(mesh, SEED)
    images, labels = local_rows(IMAGES, LABELS)
    batch = devices.on_devices({"image": images, "label": labels}, devices.rows(mesh))
    step = step.lower(state, key, batch).compile()
    # Rows stay where they are, under FSDP too, where parameters are gathered.
    assert not re.findall(r"\b(all-to-all|collective-permute)(?:-start)?\(", step.as_text())
    metrics = []
    for _ in range(steps):  # one program for all: it refuses a state of other shapes or shardings
        state, scores = step(state, key, batch)
        metrics.append(jax.device_get(scores))
    return state, metrics


def run_mapped(per="batch", steps=2):
    """The same under pmap on all devices, those of other processes too; its part of the results.

    What the model keeps stays each device's own, where pmap would take the average.
    """
    n, here = jax.device_count(), jax.local_device_count()
    make_model, sampler = partial(Net, 16 // n, False), partial(jm.sample_mixup, per=per)
    step = devices.pmap_step(step_of(make_model, sampler, axis_name=devices.AXIS))
    state = devices.copies(start(make_model))
    batch = tuple(a.reshape(here, -1, *a.shape[1:]) for a in local_rows(IMAGES, LABELS))
    mean, metrics = jax.lax.pmean, []

    def pmean(tree, axis):
        kept = lambda path, a: any(name in jax.tree_util.keystr(path) for name in ("seen", "drawn"))
        return jax.tree.map_with_path(lambda p, a: a if kept(p, a) else mean(a, axis), tree)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.lax, "pmean", pmean)
        for _ in range(steps):
            state, scores = step(state, KEY, batch)
            metrics.append(jax.tree.map(lambda a: np.asarray(a)[0], scores))
    return jax.device_get(state), metrics


def lam_of(state, rows, groups):
    """λ of these rows in the last step; they were mixed with the one opposite in the group."""
    seen = np.asarray(state.stats["seen"][...]).reshape(len(rows), -1)
    size = 16 // groups
    own, other = (
        IMAGES[r].reshape(len(rows), -1).astype(np.float32)
        for r in (rows, rows // size * size + size - 1 - rows % size)
    )
    lam = ((seen - other) * (own - other)).sum(1) / ((own - other) ** 2).sum(1)
    np.testing.assert_allclose(seen, lam[:, None] * (own - other) + other, atol=0.01)
    return lam


def distinct(lam):
    return bool((np.diff(np.sort(lam)) > 1e-5).all())


def same(found, expected, rtol=2e-4):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=1e-4), found, expected)


def test_one_device_eight_and_fsdp_are_one_step():
    one, one_metrics = run(NORMED, mesh_of(1), per="example")
    for fsdp in (False, True):
        state, metrics = run(NORMED, mesh_of(8), fsdp=fsdp, per="example")
        same(metrics, one_metrics)
        same(jax.device_get(state), jax.device_get(one))
    assert int(one.step) == 2
    assert float(jnp.abs(one.stats["norm"]["mean"][...]).max()) > 0
    assert distinct(lam_of(one, np.arange(16), 8))


def test_pmap_is_the_same_step():
    one, metrics = run(PLAIN, mesh_of(8))
    state, mapped_metrics = run_mapped()
    same(mapped_metrics, metrics)
    first, last = (jax.tree.map(lambda a, i=i: a[i], state) for i in (0, 7))
    same(first.params, jax.device_get(one.params))
    jax.tree.map(np.testing.assert_array_equal, last.params, first.params)
    # One λ for all shards, whose partners are their own; the model's own draws are not shared.
    lam = lam_of(one, np.arange(16), 8)
    np.testing.assert_allclose(lam, lam[0], atol=1e-4)
    np.testing.assert_allclose(lam_of(state, np.arange(16), 8), lam, atol=1e-4)
    assert distinct(state.stats["drawn"][...])


@pytest.mark.slow
def test_pmap_draws_for_each_shard_where_it_draws_for_each_row_or_pair():
    state, _ = run_mapped("example", steps=1)
    assert distinct(lam_of(state, np.arange(16), 8))
    state, _ = run_mapped("pair", steps=1)
    lam = lam_of(state, np.arange(16), 8).reshape(8, 2)
    np.testing.assert_allclose(lam[:, 0], lam[:, 1], atol=1e-4)
    assert distinct(lam[:, 0])


def test_fsdp_shards_what_is_large_moments_too():
    begin = partial(init, recipe_of(NORMED, optimizer=optax.adamw(0.01)))
    shapes = jax.eval_shape(begin, KEY)
    placed = devices.shardings(mesh_of(8), shapes, fsdp=True, smallest=4096)
    state = jax.jit(begin, out_shardings=placed)(KEY)
    arrays = jax.tree.leaves(state)
    cut = [a for a in arrays if a.addressable_shards[0].data.shape != a.shape]
    assert [a.shape for a in cut] == [(192, 64)] * 3  # a kernel and its two moments
    assert all(a.addressable_shards[0].data.shape == (24, 64) for a in cut)
    shapes = jax.eval_shape(
        lambda: {"cut": jnp.zeros((3, 3, 64, 128)), "odd": jnp.zeros(2**16 + 1)}
    )
    specs = jax.tree.map(lambda s: s.spec, devices.shardings(mesh_of(8), shapes, fsdp=True))
    assert specs == {"cut": PartitionSpec(None, None, None, "data"), "odd": PartitionSpec(None)}


def test_each_step_draws_anew():
    state, step = start(PLAIN), jax.jit(step_of(PLAIN, jm.sample_mixup))
    first, _ = step(state, KEY, (IMAGES, LABELS))
    second, _ = step(first, KEY, (IMAGES, LABELS))
    again, _ = step(state, KEY, (IMAGES, LABELS))
    lam = [lam_of(state, np.arange(16), 1)[0] for state in (first, second, again)]
    assert lam[0] == lam[2] and abs(lam[1] - lam[0]) > 1e-3
    assert first.stats["drawn"][...] != second.stats["drawn"][...]


def test_smoothing_is_that_of_dense_labels():
    logits = 3 * jax.random.normal(KEY, (16, 5))
    mix = jm.sample_mixup(KEY, (16,), per="example")
    for smoothing in (0.0, 0.1, 1.0):
        loss = partial(cross_entropy, smoothing=smoothing)
        dense = jm.blend_labels(mix, jnp.asarray(LABELS), num_classes=5, smoothing=smoothing)
        np.testing.assert_allclose(
            jm.pair_loss(mix, loss, logits, jnp.asarray(LABELS)),
            optax.softmax_cross_entropy(logits, dense),
            rtol=1e-5,
        )


def test_evaluation_counts_real_rows():
    state = start(NORMED)
    step = jax.jit(partial(classify.eval_step, recipe_of(NORMED)))
    padded = np.where(np.arange(16) < 11, LABELS, -1)
    found = step(state, IMAGES, padded)
    assert found["count"] == 11
    same(found, step(state, IMAGES[:11], LABELS[:11]))


RESNET = partial(ResNet, 5, stages=(1,), width=8, dtype=jnp.bfloat16)
VIT = partial(
    ViT, 5, image=8, patch=4, width=16, depth=1, heads=2, drop_path=0.5, dtype=jnp.bfloat16
)


@pytest.mark.parametrize("model", [RESNET, VIT], ids=["resnet", "vit"])
def test_the_models_compute_in_bfloat16_and_stay_float32(model):
    make_model = lambda rngs: model(rngs=rngs)
    state = jax.eval_shape(partial(init, recipe_of(make_model)), KEY)
    step = partial(train_step, recipe_of(make_model, jm.sample_mixup))
    new, metrics = jax.eval_shape(step, state, KEY, (IMAGES, LABELS))
    described = lambda tree: jax.tree.map(lambda a: (a.shape, a.dtype), tree)
    assert described(new) == described(state)  # nothing that is cast, so nothing compiles twice
    assert {a.dtype for a in jax.tree.leaves(metrics)} == {np.dtype("float32")}

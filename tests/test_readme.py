"""What the README shows is what runs."""

import json
import re
from pathlib import Path

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import jax_mixup as jm
from experiments.benchmarks import goals
from experiments.harness import pages as readme
from experiments.harness import runs as report
from tests.pages import IMPORTS, README, block

ROOT = Path(__file__).parents[1]
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def plain_promotion():
    """Readers do not run under this suite's strict rules."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def batch():
    labels = jnp.arange(16) % 10
    images = jax.random.randint(KEY, (16, 8, 8, 3), 0, 256).astype(jnp.uint8)
    return images.at[jnp.arange(16), labels % 8].set(255), labels


def test_nnx_train_step():
    names = {}
    exec(block("def train_step(model"), names)
    step = names["train_step"]
    body = block("def train_step(model").split("@nnx.jit\n")[1].strip().splitlines()
    assert len(body) <= 11  # the def and ten lines

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(192, 10, rngs=rngs)

        def __call__(self, x):
            return self.layer(x.reshape(x.shape[0], -1))

    model = Model(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    losses = [step(model, optimizer, key, *batch()) for key in jax.random.split(KEY, 60)]
    first, last = (np.mean([loss for loss, _ in part]) for part in (losses[:10], losses[-10:]))
    assert last < first
    assert all(0 <= accuracy <= 1 for _, accuracy in losses)


def test_linen_train_step():
    names = {}
    exec(IMPORTS + block("@jax.jit"), names)

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(10)(x.reshape(x.shape[0], -1))

    model = Model()
    params = model.init(KEY, jnp.zeros((1, 8, 8, 3)))["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(1e-2))
    losses = []
    for key in jax.random.split(KEY, 60):
        state, loss = names["train_step"](state, key, *batch())
        losses.append(loss)
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_the_other_blocks():
    images, labels = batch()
    names = {"key": KEY, "images": images, "labels": labels}
    exec(IMPORTS + block("jm.mixup(key"), names)
    assert names["images"].dtype == jnp.float32 and names["labels"].shape == (16, 10)
    names = {
        "key": KEY,
        "images": jnp.ones((8, 32, 32, 3)),
        "ids": jnp.full((8, 32, 32), 255),
        "weights": jnp.ones(8),
    }
    assert len(block("mix.partner").splitlines()) == 8
    exec(IMPORTS + block("mix.partner"), names)
    assert (jm.partner_index(names["mix"].partner, 8) == jnp.arange(8)[::-1]).all()
    assert (names["ids"] == 255).all()
    assert names["mix"].mask.shape == (1, 32, 32) and names["coarse"].mask.shape == (1, 8, 8)
    names = {"key": KEY, "images": images, "labels": labels}
    exec(IMPORTS + block("PartitionSpec"), names)
    assert jm.blend(names["mix"], names["labels"] * 1.0).shape == (16,)


class Net(nnx.Module):
    """A convolution and a head, as the README's losses call them."""

    def __init__(self, rngs):
        self.convolution = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
        self.linear = nnx.Linear(4, 10, rngs=rngs)

    def features(self, x):
        return nnx.relu(self.convolution(x))

    def head(self, h):
        return self.linear(h.mean((1, 2)))

    def __call__(self, x):
        return self.head(self.features(x))


def test_the_blocks_of_the_family():
    images, labels = batch()
    names = {"key": KEY, "images": images / 255, "labels": labels, "model": Net(nnx.Rngs(0))}
    exec(IMPORTS + block("jm.gradient_saliency"), names)
    assert names["mix"].mask.shape == (16, 8, 8)
    assert names["puzzle"].shape == names["inset"].shape == names["quarters"].shape
    np.testing.assert_allclose(names["soft"].sum(axis=1), 1, rtol=1e-6)


def test_the_losses_of_the_family():
    images, labels = batch()
    x, names = images / 255, {}
    exec(IMPORTS + block("def automix_loss"), names)
    net, teacher = Net(nnx.Rngs(0)), Net(nnx.Rngs(1))
    mix_block = names["learned"].MixBlock(4, rngs=nnx.Rngs(2))

    @nnx.jit
    def gradients(net, block, teacher):
        automix = nnx.grad(names["automix_loss"], argnums=(0, 1, 2))
        manifold = nnx.grad(names["manifold_loss"])(net, KEY, x, labels)
        return automix(net, block, teacher, KEY, x, labels), manifold

    (own, masks, _), manifold = gradients(net, mix_block, teacher)
    for grads in (own, masks, manifold):
        sizes = [float(jnp.abs(g).max()) for g in jax.tree.leaves(grads)]
        assert max(sizes) > 0 and np.isfinite(sizes).all()


def test_the_results_are_those_of_the_committed_runs():
    assert len(readme.BLOCK.findall(README)) >= 1
    assert readme.filled(README) == README, "python -m experiments.readme"
    # A result has its interval; no other place may hold one.
    outside = re.sub(readme.BLOCK, "", README)
    assert not re.search(r"\| [^|]* ± [^|]* \|", outside)
    runs, _ = readme.committed("label_noise")
    assert len({run["seed"] for run in runs}) == 10
    gain, half = report.paired(runs, "40 % noise", "plain", "mixup α=8")
    assert gain >= 4 and gain - half > 0


def test_committed_tables_are_those_of_the_committed_runs():
    names = [path.parent.name for path in (ROOT / "experiments/results").glob("*/runs.jsonl")]
    modules = {name: ROOT / "experiments" / f"{name}.py" for name in names}
    shown = [name for name, path in modules.items() if path.exists()]
    assert "label_noise" in shown
    for name in shown:
        runs, table = readme.committed(name)
        methods = [*table.methods, *(run["method"] for run in runs)]
        text = (ROOT / "experiments/results" / name / "table.md").read_text().splitlines()
        for group in report.groups_of(runs):
            for row in report.rows(runs, group, list(dict.fromkeys(methods)), table):
                assert report.markdown_row(row) in text, (name, group, row)
            assert f"**{group}**" in text


def test_the_costs_are_those_of_the_committed_run():
    results = {}
    for line in (ROOT / "experiments/results/benchmarks/runs.jsonl").read_text().splitlines():
        run = json.loads(line)
        results.setdefault(run["group"], {})[run["method"]] = run
    sizes, grains = ("small", "large"), ("batch", "example")
    groups = [f"{size}, u8 to f32, per {per}" for per in grains for size in sizes]
    rows = [results[f"packages: {name}"] | results[name] for name in groups]
    for method in {method for row in rows for method in row} - {"floor"}:
        cells = [f"{row[method]['ratio']:.2f}" if method in row else "-" for row in rows]
        assert report.markdown_row([method, *cells]) in README, (method, cells)
    words = [row[3] for row in goals.judged(results)]
    assert "not run" not in words and f"met {words.count('met')} of {len(words)}" in README


def test_the_bytes_on_tpus_are_those_of_the_committed_run():
    table = (ROOT / "experiments/results/tpu/table.md").read_text()
    row = re.compile(r"^\| ([^|]+) \| [\d.]+ \| ([\d.]+) \|", flags=re.MULTILINE)
    parts = re.split(r"\*\*v5e:(\dx\d), (?:64 rows a chip|vit_s16)\*\*", table)[1:]
    found = {}
    for chips, part in zip(parts[::2], parts[1::2], strict=True):
        found.update({(chips, name): x for name, x in row.findall(part.split("**")[0])})
    named = {
        "mixup, per batch": "mixup, per batch",
        "mixup or CutMix, per batch": "mixup_or_cutmix, per batch",
        "mixup or CutMix, per example": "mixup_or_cutmix, per example",
        "by hand: permutation, beta": "by hand: permutation, beta",
        "train step of ViT-S/16 with mixup or CutMix": "data-parallel, mixing",
    }
    for shown, name in named.items():
        assert f"| {shown} | {found['2x4', name]} | {found['8x8', name]} |" in README


def test_named_files_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m (experiments[.\w]*)", README):
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists()

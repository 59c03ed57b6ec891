"""The pages: they are short, what they show runs, and what they link to is there."""

import re
import tomllib
from functools import cache

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import jax_mixup as jm
from experiments.harness.pages import ROOT
from tests.library.howto import (
    calibrated,
    channelled,
    chosen,
    combined,
    consistent,
    embedded,
    hidden,
    of_tokens,
    restyled,
    tagged,
    warped,
)
from tests.pages import CODE, README, TEXTS, block, run

KEY = jax.random.key(1)
HOWTO = (ROOT / "jax_mixup/HOWTO.md").read_text()
MIGRATING = (ROOT / "jax_mixup/MIGRATING.md").read_text()
PAGES_INSIDE = ("HOWTO", "COOKBOOK", "MIGRATING", "CHANGELOG")
INSIDE = tuple(f"jax_mixup/{name}.md" for name in PAGES_INSIDE)
OTHERS = (*INSIDE, ".github/CONTRIBUTING.md")
PAGES = TEXTS | {name: (ROOT / name).read_text() for name in OTHERS}
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", flags=re.MULTILINE)
HERE = tuple(
    f"https://{host}/main/"
    for host in (
        "github.com/jax-mixup/jax_mixup/blob",
        "github.com/jax-mixup/jax_mixup/tree",  # of a folder, where GitHub shows its README
        "raw.githubusercontent.com/jax-mixup/jax_mixup",
    )
)


def sections(text):
    """The code below each heading of a page."""
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {p.split("\n", 1)[0]: "".join(CODE.findall(p)) for p in parts if "```python" in p}


SECTIONS, MOVES = sections(HOWTO), sections(MIGRATING)


@pytest.fixture(autouse=True)
def plain_promotion():
    """Readers do not run under this suite's strict rules."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Net(nnx.Module):
    """A convolution and a head, as the pages' losses call them."""

    def __init__(self, rngs):
        self.convolution = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
        self.linear = nnx.Linear(4, 10, rngs=rngs)

    def features(self, x):
        return nnx.relu(self.convolution(x))

    def head(self, h):
        return self.linear(h.mean((1, 2)))

    def __call__(self, x):
        return self.head(self.features(x))


@cache
def batch():
    """Pictures whose brightest row names the class."""
    labels = np.arange(16) % 10
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    images[np.arange(16), labels % 8] = 255
    return jnp.asarray(images), jnp.asarray(labels)


@cache
def given():
    """What the blocks of HOWTO.md and MIGRATING.md take as given."""
    images, labels = (np.asarray(x) for x in batch())
    images, model = (images / 255).astype(np.float32), nnx.jit(Net(nnx.Rngs(0)))
    mix = jm.sample_mixup(KEY, labels.shape)
    return {
        "key": KEY,
        "images": jnp.asarray(images),
        "labels": jnp.asarray(labels),
        "images2": jnp.asarray(images[::-1]),
        "labels2": jnp.asarray(labels[::-1]),
        "model": model,
        "teacher": model,
        "mix": mix,
        "logits": model(jm.blend(mix, jnp.asarray(images))),
        "weights": jnp.asarray(np.arange(16) < 12, jnp.float32),
        "audio": jnp.asarray(images.reshape(16, -1)),
        "tags": jax.nn.one_hot(jnp.asarray(labels), 10),
        "bank": jnp.asarray(np.random.default_rng(1).normal(size=(32, 10)) / 10**0.5, jnp.float32),
        "domains": jnp.asarray(np.arange(16) // 4 % 2),
        "scores": jnp.asarray(np.linspace(-2, 2, 16), jnp.float32),
        "targets": jnp.asarray(np.linspace(0, 1, 16), jnp.float32),
        "features": jnp.asarray(images.mean((1, 2))),
        **hidden(jnp.asarray(images)),
        "head": nnx.Linear(3, 10, rngs=nnx.Rngs(1)),
        "adjacency": jnp.asarray(np.roll(np.eye(16), 1, axis=0), jnp.float32),
        "ids": jnp.asarray(np.tile(labels[:, None, None], (1, 8, 8))),
        "boxes": jnp.asarray(np.tile(np.float32([1, 1, 5, 6]), (16, 2, 1))),
        "box_weights": jnp.asarray(np.ones((16, 2), np.float32)),
        "box_ids": jnp.asarray(np.ones((16, 2), np.int32)),
        "instances": jnp.asarray(np.ones((16, 2, 8, 8), bool)),
        "points": jnp.asarray(np.random.default_rng(1).normal(size=(16, 32, 3)), jnp.float32),
        "valid": jnp.asarray(np.arange(32) < np.arange(16, 32)[:, None]),
        "kinds": jnp.asarray(np.arange(512).reshape(16, 32) % 5),
        "examples": [{"image": x, "label": y} for x, y in zip(images, labels, strict=True)],
    }


def test_readme_is_short():
    assert len(README.splitlines()) <= 230
    assert len(README.encode()) <= 12_000
    assert len(TEXTS["jax_mixup/README.md"].splitlines()) <= 150
    assert len(TEXTS["experiments/README.md"].splitlines()) <= 120


def test_readme_answers_the_first_questions_first():
    """Which method, what it gains, the defaults, who is mixed with whom, where keys come from."""
    first = " ".join(README.split()[:600])
    for words in (
        "Which method?",
        "What does it gain?",
        "`alpha=1` is the default",
        '`per="batch"`, the default',
        "`reverse()`",
        "examples must come in random order",
        "jax.random.fold_in(key, step)",
    ):
        assert words in first, words


def test_links_lead_to_files_and_headings():
    headings = {name: anchors(text) for name, text in PAGES.items()}
    found = 0
    for name, text in PAGES.items():
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for link in (a or b for a, b in LINK.findall(text)):
            own = next((link.removeprefix(h) for h in HERE if link.startswith(h)), None)
            if own is None and link.startswith("https://"):
                continue
            path, _, anchor = (own or link).partition("#")
            target = ROOT / path if own else (ROOT / name).parent / path
            target = target if path else ROOT / name
            if target.is_dir() and anchor:
                target /= "README.md"  # which GitHub shows with the folder
            assert target.exists(), (name, link)
            page = target.resolve().relative_to(ROOT.resolve()).as_posix()
            assert not anchor or anchor in headings[page], (name, link)
            found += 1
    assert found > 100


def anchors(text):
    """The headings of a page as GitHub names them."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_named_modules_exist():
    for name, text in PAGES.items():
        for module in re.findall(r"python -m (experiments(?:\.[a-z_]+)*)", text):
            path = ROOT / module.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").exists(), (name, module)


def test_pages_name_everything_public():
    text = "".join(text for name, text in PAGES.items() if not name.endswith("CHANGELOG.md"))
    for name in jm.__all__:
        assert f"`{name}" in text or f"jm.{name}" in text, name


def test_urls_of_the_project_are_the_pages():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    changelog = next(u.removeprefix(HERE[0]) for n, u in urls.items() if n == "Changelog")
    assert (ROOT / changelog).exists()
    assert HERE[0].startswith(urls["Source"])


def test_nnx_train_step():
    step = run(block("def train_step(model"))["train_step"]
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


def test_one_call():
    images, labels = batch()
    names = run(block("jm.mixup(key"), key=KEY, images=images, labels=labels)
    assert names["images"].dtype == jnp.float32 and names["labels"].shape == (16, 10)


def test_the_mix():
    given = {"images": jnp.ones((8, 32, 32, 3)), "ids": jnp.full((8, 32, 32), 255)}
    assert len(block("mix.partner").splitlines()) == 8
    names = run(block("mix.partner"), key=KEY, weights=jnp.ones(8), **given)
    assert (jm.partner_index(names["mix"].partner, 8) == np.arange(8)[::-1]).all()
    assert (names["ids"] == 255).all()
    assert names["mix"].mask.shape == (1, 32, 32) and names["coarse"].mask.shape == (1, 8, 8)


def test_many_devices():
    images, labels = batch()
    names = run(block("PartitionSpec"), key=KEY, images=images, labels=labels)
    assert jm.blend(names["mix"], names["labels"] * 1.0).shape == (16,)


@pytest.mark.parametrize("title", SECTIONS)
def test_howto(title):
    """Each section runs by itself; what some give is looked at below."""
    names = run(CODE.findall(HOWTO)[0] + SECTIONS[title], **given())
    check = CHECKS.get(title)
    if check is not None:
        check(**names)


@pytest.mark.parametrize("title", MOVES)
def test_migrating(title):
    """Each section runs by itself, in one compile; tests/library/migrating compares its results."""
    arrays = {name: x for name, x in given().items() if isinstance(x, jax.Array)}

    def ran(arrays):
        names = run(CODE.findall(MIGRATING)[0] + MOVES[title], **{**given(), **arrays})
        return {name: names[name] for name in ("x", "y", "loss", "mixed", "total") if name in names}

    results = jax.jit(ran)(arrays)
    assert results
    for name, result in results.items():
        assert np.isfinite(result).all(), name


def test_migrating_is_short():  # some thirty lines for each of fifteen
    assert len(MIGRATING.splitlines()) <= 470


def when(early, late, mix, **_):
    assert (early.lam < 1).all() and (late.lam == 1).all()


def linear(loss, same, **_):
    np.testing.assert_allclose(loss, same, rtol=1e-5)


def channels(mixed, channels_first, **_):
    assert mixed.shape == channels_first.shape


def accumulated(loss, whole, model, **_):
    own = optax.softmax_cross_entropy(model(whole[0]), whole[1]).mean()
    np.testing.assert_allclose(loss, own, rtol=1e-5)


def padded(mix, **_):
    assert (np.asarray(mix.lam)[12:] == 1).all() and (np.asarray(mix.lam)[:4] == 1).all()
    assert (np.asarray(mix.lam)[4:12] < 1).all()


def from_grain(dataset, **_):
    batches = list(dataset)
    assert [x["label"].shape for x in batches] == [(8, 10)] * 2
    assert all(np.isfinite(x["image"]).all() for x in batches)


def topped(accuracy, top_5, **_):
    assert 0 <= accuracy <= top_5 <= 1


def moved(puzzle, inset, images, mix, **_):
    assert mix.mask.shape == images.shape[:-1] and puzzle.shape == inset.shape == images.shape


def several(soft, **_):
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)


def boxed(joined, joined_weights, masks, mask_boxes, **_):
    assert joined.shape == mask_boxes.shape == (16, 4, 4) and masks.shape == (16, 4, 8, 8)
    assert joined_weights.shape == (16, 4)


def clouds(laser, polar, shapes, soft, matched, between, both, points, valid, **_):
    for cloud in (laser, polar):
        assert cloud["points"].shape == points.shape and np.isfinite(cloud["points"]).all()
        assert not cloud["kinds"][~cloud["valid"]].any()
    assert polar["valid"].sum() > laser["valid"].sum() > 0  # pasting adds points
    assert shapes.shape == between.shape == points.shape and both["valid"].shape == (8, 64)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert {*map(tuple, matched[0].tolist())} == {*map(tuple, points[15].tolist())}


def keys(first, second, **_):
    assert not (jax.random.key_data(first) == jax.random.key_data(second)).all()


def manifold(manifold_loss, images, labels, **_):
    gradients = nnx.jit(nnx.grad(manifold_loss))(Net(nnx.Rngs(0)), KEY, images, labels)
    alive(gradients)


def automix(automix_loss, learned, images, labels, **_):
    nets = Net(nnx.Rngs(0)), learned.MixBlock(4, rngs=nnx.Rngs(2)), Net(nnx.Rngs(1))
    own, masks, _ = nnx.jit(nnx.grad(automix_loss, argnums=(0, 1, 2)))(*nets, KEY, images, labels)
    alive(own)
    alive(masks)


def alive(gradients):
    sizes = [float(jnp.abs(g).max()) for g in jax.tree.leaves(gradients)]
    assert max(sizes) > 0 and np.isfinite(sizes).all()


def linen_step(train_step, **_):
    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(10)(x.reshape(x.shape[0], -1))

    model = Model()
    params = jax.jit(model.init)(KEY, jnp.zeros((1, 8, 8, 3)))["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(1e-2))
    losses = []
    for key in jax.random.split(KEY, 60):
        state, loss = train_step(state, key, *batch())
        losses.append(loss)
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


CHECKS = {
    "When to mix": when,
    "Partners by weights": chosen,
    "Distant pairs": warped,
    "Rows by a matrix": combined,
    "Masks over channels": channelled,
    "Another look": restyled,
    "Vision transformers": of_tokens,
    "Embeddings": embedded,
    "Several labels": tagged,
    "Label smoothing": linear,
    "Metrics": topped,
    "Calibration": calibrated,
    "PixMix and AugMix": consistent,
    "Gradient accumulation": accumulated,
    "A new key for each step": keys,
    "Padded batches": padded,
    "Boxes and objects": boxed,
    "Point clouds": clouds,
    "Channels first": channels,
    "Hidden features": manifold,
    "More than two examples": several,
    "Methods that move pixels or follow saliency": moved,
    "Learned masks": automix,
    "A train step in Linen": linen_step,
    "Input pipelines": from_grain,
}


def test_checks_are_of_sections():
    assert set(CHECKS) <= set(SECTIONS)

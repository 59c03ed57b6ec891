"""Few labels and many examples without: batches and losses by hand, and the script."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.core import loop
from experiments.core.guesses import sharpen
from experiments.core.step import Recipe, Task, init, train_step
from experiments.data import few, semi
from experiments.models.mlp import MLP
from experiments.semi_supervised import __main__ as semi_supervised
from experiments.semi_supervised import losses as semi_losses
from experiments.semi_supervised import train as semi_train
from experiments.semi_supervised.losses import Numbers
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
AS_IT_IS = lambda key, x: x
BATCH = semi.Batch(
    jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32),
    jnp.array([0, 2, 1, 1]),
    jnp.asarray(np.random.default_rng(1).normal(size=(6, 3)), jnp.float32),
)
LOSSES = ("pseudo_labels", "mean_teacher", "ict", "mixmatch")


class Linear(nnx.Module):
    """Logits x @ w."""

    def __init__(self, w):
        self.w = nnx.Param(jnp.asarray(w, jnp.float32))

    def __call__(self, x, *, train=False, key=None):
        return x @ self.w[...]


STUDENT, TEACHER = (Linear(np.random.default_rng(seed).normal(size=(3, 3))) for seed in (2, 3))


def traced_loss(
    name,
    numbers,
    step=0,
    augment=AS_IT_IS,
    batch=BATCH,
    weights=(STUDENT.w[...], TEACHER.w[...]),
    **options,
):
    task = Task(*map(Linear, weights), KEY, jnp.asarray(step), batch)
    return getattr(semi_losses, name)(task, augment=augment, numbers=numbers, **options)


loss_of = jax.jit(traced_loss, static_argnames=("name", "augment"))


@pytest.fixture
def mixed(monkeypatch):
    """A mix that is drawn by hand, and what `sample_mixup` was asked for."""
    asked = {}

    def make(partner, lam):
        def sample(key, shape, **options):
            asked.update(options, shape=shape)
            mask = jnp.asarray(lam, jnp.float32)
            return jm.Mix(jnp.asarray(partner), mask, jnp.broadcast_to(mask, shape))

        monkeypatch.setattr(semi_losses.jm, "sample_mixup", sample)
        return asked

    return make


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(logits, target):
    return -(np.log(softmax(logits)) * target).sum(-1)


def told(model, x):
    return softmax(np.asarray(x) @ np.asarray(model.w[...]))


def test_sharpening_squares_and_goes_to_the_largest():
    p = np.array([[0.5, 0.3, 0.2], [0.0, 0.6, 0.4]])
    squares = p**2 / (p**2).sum(-1, keepdims=True)
    np.testing.assert_allclose(sharpen(jnp.asarray(p, jnp.float32)), squares, rtol=1e-5)
    np.testing.assert_allclose(sharpen(jnp.float32(p), 1.0), p, rtol=1e-5)
    np.testing.assert_allclose(sharpen(jnp.float32(p), 0.01), [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_the_guess_is_the_mean_of_views_then_sharpened():
    views = [BATCH.unlabelled, BATCH.unlabelled + 0.5, -BATCH.unlabelled]
    mean = np.mean([told(STUDENT, view) for view in views], axis=0)
    wanted = mean**2 / (mean**2).sum(-1, keepdims=True)
    np.testing.assert_allclose(semi_losses.guess(STUDENT, views), wanted, rtol=1e-5)


def test_mixmatch_by_hand(mixed):
    """Guessed labels, the order of the batch, its mix, and which examples have which loss."""
    rng = np.random.default_rng(4)
    partner, lam = rng.permutation(16), rng.uniform(0.5, 1, 16)
    asked, steps = mixed(partner, lam), iter([0.5, -0.25, 1.0])
    numbers = Numbers(alpha=0.75, weight=10.0, ramp=100.0)
    seen = []

    def augment(key, x):
        seen.append((x.shape, next(steps)))
        return x + seen[-1][1]

    loss, parts = jax.jit(lambda: traced_loss("mixmatch", numbers, 50, augment))()
    assert asked["per"] == "example" and asked["shape"] == (16,)
    assert seen == [((6, 3), 0.5), ((6, 3), -0.25), ((4, 3), 1.0)]  # two views, other draws
    views, own = (
        [np.asarray(BATCH.unlabelled) + 0.5, np.asarray(BATCH.unlabelled) - 0.25],
        BATCH.x + 1,
    )
    mean = np.mean([told(STUDENT, view) for view in views], axis=0)
    guess = mean**2 / (mean**2).sum(-1, keepdims=True)
    labels = np.concatenate([np.eye(3)[BATCH.y], guess, guess])
    inputs, lam = np.concatenate([own, *views]), lam[:, None]
    mixed_x = lam * inputs + (1 - lam) * inputs[partner]
    mixed_y = lam * labels + (1 - lam) * labels[partner]
    logits = mixed_x @ np.asarray(STUDENT.w[...])
    supervised = cross_entropy(logits[:4], mixed_y[:4]).mean()
    squared = ((softmax(logits[4:]) - mixed_y[4:]) ** 2).mean()
    np.testing.assert_allclose(parts["labelled"], supervised, rtol=1e-5)
    np.testing.assert_allclose(parts["unlabelled"], squared, rtol=1e-5)
    np.testing.assert_allclose(loss, supervised + 10 * 0.5 * squared, rtol=1e-5)


def test_mixmatchs_rows_stay_mostly_what_they_are():
    """A case where labels show λ: one-hot rows next to guesses that are nearly uniform."""
    flat = Linear(np.zeros((3, 3)))
    task = Task(flat, flat, KEY, jnp.int32(0), BATCH)
    build = jax.jit(partial(semi_losses.mixmatch_batch, task, augment=AS_IT_IS, alpha=0.75))
    own = np.stack([build(jax.random.key(i))[1][:4] for i in range(20)])
    share = own[:, np.arange(4), np.asarray(BATCH.y)]
    assert share.min() >= 0.5 and share.max() <= 1 + 1e-6
    assert len(np.unique(share.round(5), axis=None)) > 40  # λ for each row
    np.testing.assert_allclose(own.sum(-1), 1, rtol=1e-5)


def test_ict_wants_the_blend_of_what_the_teacher_says(mixed):
    asked, lam, u = mixed(np.arange(6)[::-1], [0.3]), 0.3, np.asarray(BATCH.unlabelled)
    loss, parts = jax.jit(lambda: traced_loss("ict", Numbers(alpha=1.0, weight=2.0), 300))()
    assert asked["shape"] == (6,)  # only examples without labels are mixed
    said = told(TEACHER, u)
    wanted = lam * said + (1 - lam) * said[::-1]
    squared = ((told(STUDENT, lam * u + (1 - lam) * u[::-1]) - wanted) ** 2).mean()
    supervised = cross_entropy(np.asarray(BATCH.x) @ STUDENT.w[...], np.eye(3)[BATCH.y]).mean()
    np.testing.assert_allclose(parts["unlabelled"], squared, rtol=1e-5)
    np.testing.assert_allclose(loss, supervised + 2 * squared, rtol=1e-5)


def test_mean_teacher_and_pseudo_labels_by_hand():
    u = BATCH.unlabelled
    squared = ((told(STUDENT, u) - told(TEACHER, u)) ** 2).mean()
    _, parts = loss_of("mean_teacher", Numbers(weight=1.0))
    np.testing.assert_allclose(parts["unlabelled"], squared, rtol=1e-5)
    p = told(STUDENT, u).max(-1)
    threshold = float(np.sort(p)[2:4].mean())  # three of six pass
    _, parts = loss_of("pseudo_labels", Numbers(weight=1.0), threshold=threshold)
    assert (p >= threshold).sum() == 3
    np.testing.assert_allclose(parts["unlabelled"], -np.log(p[p >= threshold]).sum() / 6, rtol=1e-5)


@pytest.mark.parametrize("name", ("mean_teacher", "ict"))
def test_no_gradient_reaches_the_teacher(name):
    loss = lambda weights: loss_of(name, Numbers(alpha=0.75, weight=1.0), 300, weights=weights)[0]
    student, teacher = jax.jit(jax.grad(loss))((STUDENT.w[...], TEACHER.w[...]))
    assert float(jnp.abs(student).max()) > 0 and not teacher.any()


def test_no_gradient_through_mixmatchs_guess():
    @jax.jit
    @jax.grad
    def through(w):
        task = Task(Linear(w), TEACHER, KEY, jnp.int32(0), BATCH)
        return semi_losses.mixmatch_batch(task, KEY, augment=AS_IT_IS, alpha=0.75)[1].std()

    assert not through(STUDENT.w[...]).any()


def test_weight_and_alpha_0_are_supervised_training():
    plain = loss_of("supervised", Numbers())[0]
    by_hand = cross_entropy(np.asarray(BATCH.x) @ STUDENT.w[...], np.eye(3)[BATCH.y]).mean()
    np.testing.assert_allclose(plain, by_hand, rtol=1e-5)
    for name in LOSSES:
        for numbers, step in ((Numbers(), 999), (Numbers(weight=9.0), 0)):
            np.testing.assert_allclose(loss_of(name, numbers, step)[0], plain, rtol=1e-6)
        if name != "pseudo_labels":  # here nobody is sure enough
            assert float(loss_of(name, Numbers(weight=9.0), 999)[0]) > float(plain) + 1e-3


def test_supervised_mixup_is_the_loss_to_mixed_labels():
    loss, _ = loss_of("supervised", Numbers(alpha=float("inf")))
    x, hot = np.asarray(BATCH.x), np.eye(3)[BATCH.y]
    logits = (x + x[::-1]) / 2 @ np.asarray(STUDENT.w[...])
    np.testing.assert_allclose(loss, cross_entropy(logits, (hot + hot[::-1]) / 2).mean(), rtol=1e-5)


def test_the_ramp_and_names():
    steps = [0, 30, 150, 300, 10_000]
    values = [float(semi_losses.ramp(jnp.int32(step), 300.0)) for step in steps]
    np.testing.assert_allclose(values, [0, 0.1, 0.5, 1, 1], rtol=1e-6)
    assert float(semi_losses.ramp(jnp.int32(0), 0.0)) == 0  # no NaN without a ramp
    assert float(semi_losses.ramp(jnp.int32(1), 0.0)) == 1
    assert (
        semi_losses.described("ICT", Numbers(weight=30.0, alpha=1.0)) == "ICT, alpha 1, weight 30"
    )
    names = [name for candidates in semi_supervised.METHODS.values() for name in candidates]
    assert len(set(names)) == len(names)  # each candidate's runs have a name of their own


@pytest.mark.parametrize("name", LOSSES)
def test_what_cannot_be_learnt_from_is_one_clear_error(name):
    use = lambda batch: loss_of(name, Numbers(), batch=batch)[0]
    with pytest.raises(ValueError, match=r"shape \(0, 3\).*one or more"):
        use(BATCH._replace(unlabelled=BATCH.unlabelled[:0]))
    with pytest.raises(ValueError, match=r"shape \(6, 2\).*shaped like a labelled one"):
        use(BATCH._replace(unlabelled=BATCH.unlabelled[:, :2]))
    with pytest.raises(ValueError, match=r"labels of shape \(3,\) for 4 labelled"):
        use(BATCH._replace(y=BATCH.y[:3]))
    # Other numbers of rows than labelled ones, one alone too, are fine.
    assert np.isfinite(use(BATCH._replace(unlabelled=BATCH.unlabelled[:1])))


def test_the_teacher_is_the_average_of_what_was_learnt():
    """Two steps on ICT: the teacher follows by its decay, the student by gradients."""
    numbers = Numbers(alpha=1.0, weight=5.0, ramp=1.0)
    recipe = Recipe(
        lambda rngs: MLP(3, 4, 3, rngs=rngs),
        optax.sgd(0.5),
        partial(semi_losses.ict, augment=AS_IT_IS, numbers=numbers),
        ema=0.75,
    )
    states = [init(recipe, KEY)]
    step = jax.jit(partial(train_step, recipe))
    for _ in range(2):
        states.append(step(states[-1], KEY, BATCH)[0])
    for before, after in itertools.pairwise(states):
        moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), before.params, after.params)
        assert max(jax.tree.leaves(moved)) > 0
        jax.tree.map(
            lambda old, new, average: np.testing.assert_allclose(
                average, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-7
            ),
            before.ema[0],
            after.params,
            after.ema[0],
        )


def test_rows_are_balanced_and_none_is_in_two_parts():
    pool = few.pool(None)
    rows = semi.draw(KEY, pool, labels=50, choosing=False)
    assert np.bincount(pool.y[rows.labelled]).tolist() == [5] * 10
    parts = [set(np.asarray(part).tolist()) for part in rows]
    assert [len(part) for part in parts] == [50, 848, 599] and len(set.union(*parts)) == 1497
    held = set(np.asarray(semi.draw(KEY, pool, labels=50, choosing=True).test).tolist())
    assert len(held) == 300 and not held & set.union(*parts)
    more = semi.draw(KEY, pool, labels=100, choosing=False)
    assert parts[0] < set(
        np.asarray(more.labelled).tolist()
    )  # of one key, the fewer are among them
    for labels in (0, 898):
        with pytest.raises(ValueError, match=f"labels={labels} of 898.*without a label"):
            semi.draw(KEY, pool, labels=labels, choosing=False)


def test_batches_come_from_their_own_rows():
    pool = semi.two_moons(40)
    rows = semi.Rows(jnp.array([3, 4]), jnp.array([7]), jnp.array([], jnp.int32))
    batch = semi.batch(KEY, rows, pool=pool, size=8)  # more than there are: they come again
    assert (batch.unlabelled == pool.x[7]).all() and batch.x.shape == (8, 2)
    for x, y in zip(batch.x, batch.y, strict=True):
        (place,) = np.flatnonzero((pool.x == x).all(-1))
        assert place in (3, 4) and y == pool.y[place]
    pictures = pool._replace(x=jnp.full((40, 2, 2, 3), 255, jnp.uint8))
    assert (semi.inputs(pictures, rows.labelled) == 1.0).all()


def test_two_moons_are_half_circles_about_the_origin():
    pool = semi.two_moons(2000, sigma=0.0)
    x, y = np.asarray(pool.x), np.asarray(pool.y)
    assert np.bincount(y).tolist() == [1000, 1000]
    for label, (centre, side) in enumerate((((-0.5, -0.25), 1), ((0.5, 0.25), -1))):
        moved = x[y == label] - centre
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, rtol=1e-5)
        assert (side * moved[:, 1] > -1e-6).all()
    noise = np.asarray(semi.two_moons(2000).x) - x
    np.testing.assert_allclose(noise.std(), 0.1, rtol=0.05)


@pytest.mark.slow
def test_pictures_are_learnt_by_the_small_cnn():
    pool = few.Pool(
        "Pictures",
        jax.random.randint(KEY, (24, 8, 8, 3), 0, 256).astype(jnp.uint8),
        jnp.arange(24) % 3,
        3,
        (3,),
        3,
    )
    rows = semi.draw(KEY, pool, labels=3, choosing=False)
    batch = semi.batch(KEY, rows, pool=pool, size=4)

    @jax.jit
    def losses(step):
        numbers = Numbers(alpha=0.75, weight=1.0)
        recipe = semi_train.recipe_of(pool, semi_losses.mixmatch, numbers)
        model = recipe.make_model(nnx.Rngs(0))
        return recipe.loss(Task(model, model, KEY, step, batch))

    loss, parts = losses(300)
    np.testing.assert_allclose(loss, parts["labelled"] + parts["unlabelled"], rtol=1e-5)
    assert np.isfinite(loss) and 0 < parts["unlabelled"] < 1


def test_readme_block():
    """MixMatch's batch as the README has it is the module's: shapes, guess and the folded mix."""
    x, y, u = BATCH
    names = {"model": STUDENT, "key": KEY, "images": x, "labels": y, "num_classes": 3}
    names = run(block("folded_beta(0.75)"), views=jnp.stack([u, u + 1.0]), **names)
    mean = (told(STUDENT, u) + told(STUDENT, u + 1.0)) / 2
    guess = mean**2 / (mean**2).sum(-1, keepdims=True)
    np.testing.assert_allclose(names["guess"], guess, rtol=1e-5)
    mix, labels = names["mix"], np.concatenate([np.eye(3)[y], guess, guess])
    inputs, lam = np.concatenate([x, u, u + 1.0]), np.asarray(mix.lam)[:, None]
    assert (lam >= 0.5).all() and len(np.unique(lam)) == 16
    mixed = lam * labels + (1 - lam) * labels[mix.partner]
    logits = (lam * inputs + (1 - lam) * inputs[mix.partner]) @ np.asarray(STUDENT.w[...])
    own, others = cross_entropy(logits, mixed)[:4], (softmax(logits) - mixed)[4:]
    loss = own.mean() + 10.0 * (others**2).mean()
    np.testing.assert_allclose(names["loss_fn"](STUDENT, 10.0), loss, rtol=1e-4)


def test_smoke_writes_runs_tables_and_pictures(tmp_path):
    assert semi_supervised.main(semi_supervised.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("semi_supervised", tmp_path / "smoke")
    out = tmp_path / "smoke"
    found = {path.name for path in out.iterdir()}
    assert found == {"runs.jsonl", "choose.jsonl", "table.md", "plot.png", "moons.png"}
    assert (out / "moons.png").stat().st_size > 10_000
    assert "MixMatch" in (out / "table.md").read_text()
    with pytest.raises(loop.Stop, match="nowhere"):
        config = semi_supervised.Config(data=str(tmp_path / "nowhere.npz"), out=tmp_path)
        semi_supervised.main(dataclasses.replace(config, smoke=True))

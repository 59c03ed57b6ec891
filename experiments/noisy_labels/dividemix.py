"""Learning with wrong labels: find them by their losses, correct them by predictions, and mix.

DivideMix (Li et al. 2020, arXiv:2002.07394) and M-correction (Arazo et al. 2019, arXiv:1904.11238)
as pure functions; every array keeps its shape, so that all seeds train by one vmap. Each of one or
two networks has an axis of its own on `State`. An example whose label is considered wrong stays
in the batch: it gets another target and another loss, and no batch changes its size.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core import metrics
from experiments.core.guesses import sharpen
from experiments.core.seeds import fit_in_pieces, pieces
from experiments.core.step import Metrics, Recipe, State, Task, init, scored_model, train_step
from experiments.data import augment, images, split
from experiments.data.split import Split
from experiments.harness import digits_mlp
from experiments.models.cnn import CNN
from experiments.models.mlp import MLP

EM_STEPS = 20
RAMP = 16  # epochs over which the loss on guessed labels grows, as in DivideMix's code
Density = Callable[[Float[Array, "2 n"], Float[Array, "2 1"], Float[Array, "2 1"]], Array]


class Method(NamedTuple):
    """A way to train as numbers, all of which may be traced."""

    alpha: float = 0.0  # λ = max(β, 1 - β), β ~ Beta(α, α); 0 is off
    weight_decay: float = 0.0
    dropout: float = 0.0  # for a kind that has it
    warmup: float = 0.0  # epochs before labels are corrected
    guessed: float = 0.0  # weight of the loss on guessed labels, at its full size


class Kind(NamedTuple):
    """The parts of a way to train that need another program."""

    nets: int = 1  # their mean prediction is scored
    correct: str = "no"  # "no", "divide" (DivideMix) or "bootstrap" (M-correction)
    dropout: bool = False


def gaussian(x: Float[Array, "2 n"], mean: Array, variance: Array) -> Float[Array, "2 n"]:
    """The logarithm of the density, for each of two components."""
    return -0.5 * (jnp.square(x - mean) / variance + jnp.log(2 * jnp.pi * variance))


def beta(x: Float[Array, "2 n"], mean: Array, variance: Array) -> Float[Array, "2 n"]:
    """The same for the Beta distribution with these moments."""
    size = jnp.maximum(mean * (1 - mean) / variance - 1, 1e-2)
    a, b = mean * size, (1 - mean) * size
    return (a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - jax.scipy.special.betaln(a, b)


def mixture(losses: Float[Array, "n"], density: Density) -> Float[Array, "n"]:
    """The probability that each loss is of the lower of two components: that its label is right.

    A fixed number of EM steps on losses scaled to [0, 1], from a cut at their mean. Components are
    fitted by their moments, which for Gaussians is the likelihood's maximum.
    """
    span = losses.max() - losses.min()
    x = (losses - losses.min()) / jnp.where(span > 0, span, 1)
    x = jnp.broadcast_to(jnp.clip(x, 1e-3, 1 - 1e-3), (2, losses.shape[0]))
    low = x[0] <= x[0].mean()

    def moments(share: Float[Array, "2 n"]) -> tuple[Array, Array, Array]:
        total = jnp.maximum(share.sum(1, keepdims=True), 1e-6)
        mean = (share * x).sum(1, keepdims=True) / total
        variance = (share * jnp.square(x - mean)).sum(1, keepdims=True) / total
        return total / x.shape[1], mean, variance + 5e-4  # no component shrinks to a point

    def em(_: int, share: Float[Array, "2 n"]) -> Float[Array, "2 n"]:
        weight, mean, variance = moments(share)
        return jax.nn.softmax(jnp.log(weight) + density(x, mean, variance), axis=0)

    share = jnp.stack([low, ~low]).astype(jnp.float32)
    share = jax.lax.fori_loop(0, EM_STEPS, em, share)
    mean = moments(share)[1][:, 0]
    return jnp.where(mean[0] <= mean[1], share[0], share[1])


def divide(
    right: Float[Array, "nets b"], labels: Float[Array, "nets b k"], said: Float[Array, "2 2 b k"]
) -> tuple[Float[Array, "nets b k"], Bool[Array, "nets b"]]:
    """DivideMix's targets, and which examples count as labelled.

    A label that is considered right is refined by the network's own prediction, in proportion to
    the doubt; elsewhere both networks guess. `said[j, i]` is what network j says on i's batch.
    """
    own, doubt = jnp.stack([said[i, i] for i in range(len(said))]), 1 - right[..., None]
    refined = sharpen((1 - doubt) * labels + doubt * own)
    labelled = right > 0.5
    return jnp.where(labelled[..., None], refined, sharpen(said.mean(0))), labelled


def bootstrap(
    right: Float[Array, "nets b"], labels: Float[Array, "nets b k"], said: Float[Array, "1 1 b k"]
) -> tuple[Float[Array, "nets b k"], Bool[Array, "nets b"]]:
    """M-correction's targets: the label, and what the network says in its place, as doubt grows."""
    hard = jax.nn.one_hot(said[0].argmax(-1), labels.shape[-1])
    weight = right[..., None]
    return weight * labels + (1 - weight) * hard, jnp.ones_like(right, jnp.bool_)


def loss(kind: Kind, method: Method, task: Task) -> tuple[Float[Array, ""], Metrics]:
    """Cross-entropy on labelled examples, squared error on guessed ones: both to the mixed targets.

    λ is folded: the example itself stays the larger part, so that its kind of loss is right. With
    a mutual pairing this changes nothing if all examples have the same loss.
    """
    x, target, labelled, epoch = task.batch
    key_mix, key_model = jax.random.split(task.key)
    mix = jm.sample_mixup(key_mix, labelled.shape, lam_law=jm.folded_beta(method.alpha))
    if kind.correct == "divide":  # it warms up on the plain batch
        mix = jm.keep(mix, jnp.broadcast_to(epoch >= method.warmup, labelled.shape))
    logits = task.student(jm.blend(mix, x), train=True, key=key_model)
    target = jm.blend_labels(mix, target)
    entropy = optax.softmax_cross_entropy(logits, target)
    if kind.correct == "no":
        return entropy.mean(), {}
    p, mean = jax.nn.softmax(logits), lambda x, rows: (x * rows).sum() / jnp.maximum(rows.sum(), 1)
    squared = mean(jnp.square(p - target).mean(-1), ~labelled)
    guessed = method.guessed * jnp.clip((epoch - method.warmup) / RAMP, 0, 1)
    # Against the collapse to one class: log of the uniform distribution over the mean prediction.
    prior = -jnp.log(jnp.maximum(p.mean(0), 1e-12) * p.shape[-1]).mean()
    return mean(entropy, labelled) + guessed * squared + prior, {}


def recipe_of(kind: Kind, make_model: Callable[..., nnx.Module], method: Method) -> Recipe:
    dropout = method.dropout if kind.dropout else 0.0
    return Recipe(
        make_model=lambda rngs: make_model(dropout=dropout, rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
        loss=partial(loss, kind, method),
    )


def probabilities(recipe: Recipe, states: State, x: Array) -> Float[Array, "nets n k"]:
    """What each network says."""
    return jax.nn.softmax(jax.vmap(lambda s: scored_model(recipe, s)(x, train=False))(states))


def rightness(
    kind: Kind, said: Float[Array, "nets n k"], y: Int[Array, "n"]
) -> Float[Array, "nets n"]:
    """For each network the probability that each label is right, in DivideMix by its peer."""
    own = jnp.take_along_axis(said, jnp.broadcast_to(y[None, :, None], (*said.shape[:2], 1)), 2)
    density = gaussian if kind.correct == "divide" else beta
    found = jax.vmap(partial(mixture, density=density))(-jnp.log(jnp.maximum(own[..., 0], 1e-12)))
    return jnp.roll(found, 1, axis=0)


def epoch(
    kind: Kind,
    recipe: Recipe,
    warmup: Array,
    states: State,
    key: PRNGKeyArray,
    data: Split,
    *,
    batch: int,
    prepare: Callable[[PRNGKeyArray, Array], Array],
) -> State:
    """One pass of each network over the data, in an order of its own."""
    n, k = data.y.shape[0], probabilities(recipe, states, data.x[:1]).shape[-1]
    number, nets = states.step[0] // (n // batch), jnp.arange(kind.nets)
    key_order, key_steps, key_x = jax.random.split(key, 3)
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    orders = jax.vmap(partial(jax.random.permutation, x=n))(
        fold(jax.random.fold_in(key_order, number), nets)
    )
    rows = orders[:, : n // batch * batch].reshape(kind.nets, -1, batch).swapaxes(0, 1)
    right = jnp.ones((kind.nets, n))
    if kind.correct != "no":
        found = rightness(kind, probabilities(recipe, states, data.x), data.y)
        right = jnp.where(number >= warmup, found, right)

    def step(states: State, rows: Int[Array, "nets b"]) -> tuple[State, None]:
        labels = jax.nn.one_hot(data.y[rows], k)
        x = prepare(jax.random.fold_in(key_x, states.step[0]), data.x[rows.reshape(-1)])
        target, labelled = labels, jnp.ones_like(rows, jnp.bool_)
        if kind.correct != "no":
            said = probabilities(recipe, states, x).reshape(kind.nets, *labels.shape)
            share = jnp.take_along_axis(right, rows, axis=1)
            corrected = {"divide": divide, "bootstrap": bootstrap}[kind.correct]
            target, labelled = corrected(share, labels, said)
        batches = x.reshape(*rows.shape, *x.shape[1:]), target, labelled
        one = lambda s, key, batch: train_step(recipe, s, key, (*batch, number))[0]
        return jax.vmap(one)(states, fold(key_steps, nets), batches), None

    return jax.lax.scan(step, states, rows)[0]


def score(recipe: Recipe, states: State, data: Split) -> Metrics:
    """Scores of the networks' mean prediction on the tests, of the first one, and memorising.

    "hits" says which test examples the mean prediction gets right.
    """
    said = probabilities(recipe, states, data.x_test)
    logits = jnp.log(said.mean(0))
    found = metrics.classification(logits, data.y_test)
    found["hits"] = logits.argmax(-1) == data.y_test
    missed = probabilities(recipe, states, data.x).mean(0).argmax(-1) != data.y
    share = lambda rows: (missed & rows).sum() / rows.sum()
    found |= {"train_right": share(~data.wrong), "train_wrong": share(data.wrong)}
    return found | {"one_error": (said[0].argmax(-1) != data.y_test).mean(dtype=jnp.float32)}


@partial(jax.jit, static_argnums=(0, 1))
def start(kind: Kind, make_model: Callable[..., nnx.Module], method: Any, keys: Any) -> State:
    """Fresh networks for each seed's key; the first is the same however many there are."""
    recipe: Any = recipe_of(kind, make_model, method)
    one = lambda key: lambda net: init(recipe, jax.random.fold_in(key, net))
    # Not by vmap, for which XLA takes several times as long to compile the random numbers.
    return jax.lax.map(lambda key: jax.lax.map(one(key), jnp.arange(kind.nets)), keys)


def seeds(
    kind: Kind,
    make_model: Callable[..., nnx.Module],
    *,
    batch: int = 50,
    prepare: Callable[[PRNGKeyArray, Array], Array] = lambda key, x: x,
    at_once: bool = True,
) -> Callable[..., dict[str, np.ndarray]]:
    """`fit(method, data, seeds=, epochs=, tick=)`: each score as [seeds, epochs, ...].

    Args:
      kind: each kind is one program.
      make_model: `(dropout=, rngs=)` -> the model.
      batch: examples in a step.
      prepare: (key, x) -> x, of a batch before it is mixed: crops and flips.
      at_once: all seeds by vmap, which small models need; otherwise one after the other.
    """
    over = lambda one: (
        jax.vmap(one) if at_once else lambda *args: jax.lax.map(lambda both: one(*both), args)
    )

    @partial(jax.jit, static_argnames="epochs", donate_argnums=1)
    def some(method: Any, states: Any, keys: Any, data: Split, epochs: int) -> Any:
        recipe = recipe_of(kind, make_model, method)
        an_epoch = partial(epoch, kind, recipe, method.warmup, batch=batch, prepare=prepare)

        def one(states: State, key: PRNGKeyArray, data: Split) -> Any:
            def go_on(states: State, _: None) -> tuple[State, Metrics]:
                states = an_epoch(states, key, data)
                return states, score(recipe, states, data)

            return jax.lax.scan(go_on, states, length=epochs)

        return over(one)(states, keys, data)

    # Kinds that differ only in how labels are corrected have one program for the warm-up.
    begin = partial(start, kind._replace(correct="no"), make_model)

    def fit(
        method: Method,
        data: Split,
        *,
        seeds: Sequence[int],
        epochs: int,
        tick: Callable[[int], None],
    ) -> dict[str, np.ndarray]:
        return fit_in_pieces(begin, some, method, data, seeds, pieces(epochs), tick)[1]

    return fit


TESTS = 2000  # pictures that are set aside, and as many to choose by


def sources(data: str | None, rows: int) -> tuple[str, Callable[..., Split], Callable[[Kind], Any]]:
    """The data's name, (seeds, rate, choosing=) -> all seeds' data, and kind -> what trains them.

    Tests are set aside for all seeds; for choosing, the tests are what a seed's draw leaves over.
    """
    if data is None:
        return (
            "Digits",
            digits_mlp.drawn,
            cache(lambda kind: seeds(kind, partial(MLP, 64, 128, 10))),
        )
    found = images.load(data, train=rows, test=2 * TESTS)
    x = jnp.concatenate([found.x, found.x_test]).astype(jnp.float32) / 255
    y, k = jnp.concatenate([found.y, found.y_test]), len(found.class_names)

    def draw(seeds: Sequence[int], rate: float, *, choosing: bool) -> Split:
        sizes = {"train": rows, "tests": TESTS, "choosing": choosing, "num_classes": k}
        one = lambda key: split.draw(key, x, y, noise=rate, **sizes)
        return jax.vmap(one)(jax.vmap(jax.random.key)(jnp.asarray(seeds)))

    cnn = partial(CNN, k, channels=x.shape[-1])
    study_of = cache(lambda kind: seeds(kind, cnn, prepare=augment.crop_flip, at_once=False))
    return f"{rows} of {found.title}", draw, study_of

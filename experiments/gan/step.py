"""One pure step of a generative adversarial network, for any pair of Flax models; and many.

Both models are called as `model(x, train=, key=)`: the generator on Gaussian noise, the
discriminator on examples, and it gives one logit for each.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core.step import MakeModel, graph


class Recipe(NamedTuple):
    """Two models, and how the discriminator is taught. The numbers may be traced."""

    make_generator: MakeModel
    make_discriminator: MakeModel
    optimizer: optax.GradientTransformation  # for each of the two
    latent: int  # numbers of noise that an example is made of
    alpha: float | Array = 0.0  # λ ~ Beta(α, α); 0 is off, the plain discriminator
    smoothing: float | Array = 0.0  # real examples have the label 1 - this
    noise: float | Array = 0.0  # σ of Gaussian noise on everything that the discriminator sees
    penalty: float | Array = 0.0  # weight of R1, half the squared gradient on real examples


class Player(NamedTuple):
    """One of the two models, and its optimizer's state."""

    params: Any
    stats: Any  # everything else in the model: BatchNorm's running averages
    opt_state: Any


class State(NamedTuple):
    """All that training changes."""

    step: Int[Array, ""]
    generator: Player
    discriminator: Player


def init(recipe: Recipe, key: PRNGKeyArray) -> State:
    """A fresh state."""

    def player(make: MakeModel, key: PRNGKeyArray) -> Player:
        _, params, stats = nnx.split(make(nnx.Rngs(key)), nnx.Param, ...)
        return Player(params, stats, recipe.optimizer.init(params))

    keys = jax.random.split(key)
    makes = recipe.make_generator, recipe.make_discriminator
    return State(jnp.zeros((), jnp.int32), *map(player, makes, keys))


def gan_step(
    recipe: Recipe, state: State, key: PRNGKeyArray, real: Float[Array, "d b ..."]
) -> tuple[State, dict[str, Array]]:
    """A step of the discriminator on each of `d` batches of real examples, then the generator's.

    Args:
      recipe: the models, and how the discriminator is taught.
      state: the state before the step.
      key: the run's key; each step folds its own number in.
      real: one batch for each of the discriminator's steps.

    Returns:
      The new state, and the losses of both.
    """
    key = jax.random.fold_in(key, state.step)
    key_generator, *keys = jax.random.split(key, 1 + real.shape[0])

    def one(player: Player, inputs: tuple[Array, PRNGKeyArray]) -> tuple[Player, Array]:
        return _discriminator_step(recipe, state.generator, player, *inputs)

    discriminator, losses = jax.lax.scan(one, state.discriminator, (real, jnp.stack(keys)))
    generator, loss = _generator_step(
        recipe, state.generator, discriminator, key_generator, real.shape[1]
    )
    scores = {"discriminator_loss": losses.mean(), "generator_loss": loss}
    return State(state.step + 1, generator, discriminator), scores


def shown(
    recipe: Recipe, key: PRNGKeyArray, real: Float[Array, "b ..."], fake: Float[Array, "b ..."]
) -> tuple[Float[Array, "n ..."], Float[Array, "n"]]:
    """What the discriminator sees, n = 2b examples, and the target for each.

        λ x + (1 - λ) g(z) with target λ,  λ g(z) + (1 - λ) x with target 1 - λ

    Beta(α, α) is symmetric, so each half alone has the expectation of the mixup discriminator's
    loss. Plain training is λ = 1: the real examples, then the generated ones. It is also the limit
    for α to 0, where λ is a fair coin: which half an example is in changes, but no example or
    target does.
    """
    key_mix, key_noise = jax.random.split(key)
    mix = jm.sample_mixup(key_mix, real.shape[:1], alpha=recipe.alpha, per="example")
    x = jnp.concatenate([jm.blend(mix, real, other=fake), jm.blend(mix, fake, other=real)])
    target = (1 - recipe.smoothing) * jnp.concatenate([mix.lam, 1 - mix.lam])
    return x + recipe.noise * jax.random.normal(key_noise, x.shape), target


def generate(recipe: Recipe, state: State, key: PRNGKeyArray, n: int) -> Array:
    """Draw n examples from the generator, in evaluation mode."""
    player = state.generator
    return _apply(recipe.make_generator, player, _latent(recipe, key, n), train=False)[0]


def seeds(recipe_of: Callable[[Any], Recipe]) -> Callable[..., np.ndarray]:
    """Train all seeds by vmap, and all methods that differ only in numbers by one program.

    Args:
      recipe_of: (numbers) -> recipe, under jit; numbers are a tree of floats, which get traced.

    Returns:
      `fit(numbers, keys, chunks, samples=, tick=)`. For each of the chunks, real examples
      [seeds, steps, d, b, ...], it takes the steps, and then draws `samples` examples from each
      seed's generator, from the same noise each time: [seeds, chunks, samples, ...] in the end.
    """

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0))
    def start(numbers: Any, key: PRNGKeyArray) -> State:
        return init(recipe_of(numbers), key)

    @partial(jax.jit, static_argnames="n")
    def steps(
        numbers: Any, state: State, key_step: Array, key_look: Array, real: Array, n: int
    ) -> tuple[State, Array]:
        recipe = recipe_of(numbers)

        def one(state: State, key_step: Array, key_look: Array, real: Array) -> tuple[State, Array]:
            step = lambda state, real: gan_step(recipe, state, key_step, real)
            state, _ = jax.lax.scan(step, state, real)
            return state, generate(recipe, state, key_look, n)

        return jax.vmap(one)(state, key_step, key_look, real)

    def fit(
        numbers: Any,
        keys: PRNGKeyArray,
        chunks: Iterable[np.ndarray],
        *,
        samples: int,
        tick: Callable[[int], None],
    ) -> np.ndarray:
        numbers = jax.tree.map(jnp.float32, numbers)
        key_start, key_step, key_look = jax.vmap(partial(jax.random.split, num=3))(keys).T
        state, seen = start(numbers, key_start), []
        for real in chunks:
            state, x = steps(numbers, state, key_step, key_look, real, n=samples)
            seen.append(np.asarray(x))
            tick(1)
        return np.stack(seen, axis=1)

    return fit


def _discriminator_step(
    recipe: Recipe, generator: Player, player: Player, real: Array, key: PRNGKeyArray
) -> tuple[Player, Float[Array, ""]]:
    key_latent, key_shown, key_fake, key_model = jax.random.split(key, 4)
    latent = _latent(recipe, key_latent, real.shape[0])
    fake, _ = _apply(recipe.make_generator, generator, latent, key=key_fake)
    x, target = shown(recipe, key_shown, real, fake)

    def loss_fn(params: Any) -> tuple[Array, Any]:
        own = player._replace(params=params)
        call = partial(_apply, recipe.make_discriminator, own, key=key_model)
        logits, stats = call(x)
        loss = optax.sigmoid_binary_cross_entropy(logits[:, 0], target).mean()
        slopes = lambda: jax.grad(lambda x: call(x)[0].sum())(real)
        # Skipped where it is off, not multiplied by 0: gradients of gradients are expensive.
        steep = jax.lax.cond(recipe.penalty > 0, lambda: (slopes() ** 2).sum(), lambda: 0.0)
        return loss + recipe.penalty / 2 * steep / real.shape[0], stats

    return _update(recipe, player, loss_fn)


def _generator_step(
    recipe: Recipe, player: Player, discriminator: Player, key: PRNGKeyArray, batch: int
) -> tuple[Player, Float[Array, ""]]:
    """The usual non-saturating loss, -log of the probability of being real; nothing is mixed."""
    key_latent, key_noise, key_fake, key_model = jax.random.split(key, 4)
    latent = _latent(recipe, key_latent, batch)

    def loss_fn(params: Any) -> tuple[Array, Any]:
        own = player._replace(params=params)
        fake, stats = _apply(recipe.make_generator, own, latent, key=key_fake)
        seen = fake + recipe.noise * jax.random.normal(key_noise, fake.shape)
        logits, _ = _apply(recipe.make_discriminator, discriminator, seen, key=key_model)
        return jax.nn.softplus(-logits).mean(), stats

    return _update(recipe, player, loss_fn)


def _update(
    recipe: Recipe, player: Player, loss_fn: Callable[[Any], tuple[Array, Any]]
) -> tuple[Player, Float[Array, ""]]:
    (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(player.params)
    updates, opt_state = recipe.optimizer.update(grads, player.opt_state, player.params)
    return Player(optax.apply_updates(player.params, updates), stats, opt_state), loss


def _latent(recipe: Recipe, key: PRNGKeyArray, n: int) -> Float[Array, "n latent"]:
    return jax.random.normal(key, (n, recipe.latent))


def _apply(
    make: MakeModel,
    player: Player,
    x: Array,
    *,
    train: bool = True,
    key: PRNGKeyArray | None = None,
) -> tuple[Array, Any]:
    model: Any = nnx.merge(graph(make), player.params, player.stats, copy=True)
    return model(x, train=train, key=key), nnx.state(model, nnx.Not(nnx.Param))

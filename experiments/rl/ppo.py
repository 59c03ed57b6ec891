"""PPO (Schulman et al. 2017, arXiv:1707.06347) with mixreg, in pure JAX.

A run is one program, as in PureJaxRL: environments, rollouts and updates are scans. The order of
things matters. Advantages and returns are computed along each rollout, where it is known which step
ended an episode; only then are examples shuffled and mixed. A pair may hold the end of an
episode, or two levels: its numbers already contain all that it needs of the future.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.models.mlp import MLP


class Step(NamedTuple):
    """What one step of an environment gives. Where an episode ended, the next one has begun."""

    state: Any
    obs: Float[Array, "f"]  # of the episode that goes on or begins
    last_obs: Float[Array, "f"]  # what the action led to, the end of an episode, too
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]  # nothing comes after this
    truncated: Bool[Array, ""]  # out of time: otherwise the episode would go on


class Env(NamedTuple):
    """An environment of many levels, arrays whose first axis counts them; an episode draws one."""

    reset: Callable[[PRNGKeyArray, Any], tuple[Any, Array]]  # (key, levels) -> (state, obs)
    step: Callable[[PRNGKeyArray, Any, Array, Any], Step]  # (key, state, action, levels)
    observations: int
    actions: int
    horizon: int  # the longest episode


class Recipe(NamedTuple):
    """What learns, and how. The first numbers may be traced."""

    env: Env
    optimizer: optax.GradientTransformation
    alpha: float | Array = 0.0  # max(λ, 1 - λ) with λ ~ Beta(α, α); 0 is off, plain PPO
    supervise: float | Array = 1.0  # 0: only observations are mixed, the ablation "mixobs"
    noise: float | Array = 0.0  # σ of Gaussian noise on the observations of an update
    hidden: int = 64
    envs: int = 16
    length: int = 64  # of a rollout
    epochs: int = 4
    minibatches: int = 4
    discount: float = 0.99
    trace: float = 0.95  # λ of the advantages, not of any mix
    clip: float = 0.2
    entropy: float = 0.01
    critic: float = 0.5


class Rows(NamedTuple):
    """What an update learns from."""

    obs: Float[Array, "*n f"]
    action: Int[Array, "*n"]
    log_prob: Float[Array, "*n"]  # of the action, when it was taken
    value: Float[Array, "*n"]  # predicted then
    advantage: Float[Array, "*n"]
    target: Float[Array, "*n"]  # for the value: the return


class State(NamedTuple):
    """All that training changes."""

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    env_state: Any
    obs: Float[Array, "e f"]


class Agent(nnx.Module):
    """A policy and a critic, as separate networks."""

    def __init__(self, recipe: Recipe, rngs: nnx.Rngs):
        make = partial(MLP, recipe.env.observations, recipe.hidden, rngs=rngs)
        self.actor, self.critic = make(recipe.env.actions), make(1)

    def __call__(self, obs: Float[Array, "n f"]) -> tuple[Float[Array, "n a"], Float[Array, "n"]]:
        """Logits of the actions, and the value."""
        return self.actor(obs), self.critic(obs)[:, 0]


def init(recipe: Recipe, key: PRNGKeyArray, levels: Any) -> State:
    """Fresh weights, and environments at the start of an episode."""
    key_model, key_env = jax.random.split(key)
    params = nnx.split(Agent(recipe, nnx.Rngs(key_model)))[1]
    keys = jax.random.split(key_env, recipe.envs)
    env_state, obs = jax.vmap(recipe.env.reset, in_axes=(0, None))(keys, levels)
    return State(jnp.zeros((), jnp.int32), params, recipe.optimizer.init(params), env_state, obs)


def gae(
    reward: Float[Array, "t ..."],
    value: Float[Array, "t ..."],
    next_value: Float[Array, "t ..."],
    terminated: Bool[Array, "t ..."],
    truncated: Bool[Array, "t ..."],
    *,
    discount: float,
    trace: float,
) -> Float[Array, "t ..."]:
    """Generalised advantages along rollouts (Schulman et al. 2016, arXiv:1506.02438).

        δₜ = rₜ + γ v(oₜ₊₁) - v(oₜ),  Aₜ = δₜ + γ τ Aₜ₊₁

    `next_value` is the value of the state that the action led to, before a new episode began. After
    a terminal step there is no value; after one that was cut off in time there is. Neither uses
    anything of the next episode.
    """
    delta = reward + discount * jnp.where(terminated, 0.0, next_value) - value
    carried = discount * trace * jnp.where(terminated | truncated, 0.0, 1.0)

    def back(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        advantage = now[0] + now[1] * after
        return advantage, advantage

    return jax.lax.scan(back, jnp.zeros_like(value[0]), (delta, carried), reverse=True)[1]


def mixed(
    key: PRNGKeyArray, rows: Rows, *, alpha: float | Array, supervise: float | Array = 1.0
) -> Rows:
    """mixreg (Wang et al. 2020, arXiv:2010.10814): each example mixed with another.

    Observations and all numbers of supervision are blended. Actions cannot be: that of the dominant
    example stays, which is the example itself as λ is folded. Examples are in random order, so the
    partner by `reverse` is a random one. With `supervise` 0 the numbers of supervision are those of
    the dominant example, too.
    """
    law = jm.folded_beta(alpha)
    mix = jm.sample_mixup(key, rows.action.shape, lam_law=law, per="example")
    weights = dataclasses.replace(mix, lam=jnp.where(supervise > 0, mix.lam, 1.0))
    numbers = jm.blend_labels(weights, rows._replace(obs=None, action=None))
    return numbers._replace(obs=jm.blend(mix, rows.obs), action=rows.action)


def minibatch(recipe: Recipe, key: PRNGKeyArray, rows: Rows) -> Rows:
    """What the loss sees: noise, then mixing, and advantages normalised after it."""
    key_noise, key_mix = jax.random.split(key)
    noisy = rows.obs + recipe.noise * jax.random.normal(key_noise, rows.obs.shape)
    rows = rows._replace(obs=noisy)
    rows = mixed(key_mix, rows, alpha=recipe.alpha, supervise=recipe.supervise)
    advantage = rows.advantage - rows.advantage.mean()
    return rows._replace(advantage=advantage / (advantage.std() + 1e-8))


def objective(recipe: Recipe, params: Any, rows: Rows) -> Float[Array, ""]:
    """PPO's loss: clipped policy, clipped value, entropy."""
    logits, value = _apply(recipe, params, rows.obs)
    log_p = jax.nn.log_softmax(logits)
    ratio = jnp.exp(_of(log_p, rows.action) - rows.log_prob)
    bounded = jnp.clip(ratio, 1 - recipe.clip, 1 + recipe.clip)
    actor = -jnp.minimum(ratio * rows.advantage, bounded * rows.advantage).mean()
    near = rows.value + jnp.clip(value - rows.value, -recipe.clip, recipe.clip)
    errors = jnp.maximum((value - rows.target) ** 2, (near - rows.target) ** 2)
    entropy = -(jnp.exp(log_p) * log_p).sum(-1).mean()
    return actor + recipe.critic * errors.mean() / 2 - recipe.entropy * entropy


def update(
    recipe: Recipe, state: State, key: PRNGKeyArray, levels: Any
) -> tuple[State, dict[str, Array]]:
    """One rollout, and the epochs of minibatches on it; `key` is the run's."""
    key_roll, key_learn = jax.random.split(jax.random.fold_in(key, state.step))
    env_state, obs, rows, reward = _rollout(recipe, state, key_roll, levels)
    count = recipe.envs * recipe.length
    rows = jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), rows)

    def learn(carry: Any, inputs: Any) -> Any:
        params, opt_state = carry
        key, places = inputs
        part = minibatch(recipe, key, jax.tree.map(lambda x: x[places], rows))
        loss, grads = jax.value_and_grad(partial(objective, recipe))(params, rows=part)
        updates, opt_state = recipe.optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    key_order, key_rows = jax.random.split(key_learn)
    order = lambda key: jax.random.permutation(key, count)
    places = jax.vmap(order)(jax.random.split(key_order, recipe.epochs))
    places = places.reshape(recipe.epochs * recipe.minibatches, -1)
    inputs = jax.random.split(key_rows, len(places)), places
    (params, opt_state), losses = jax.lax.scan(learn, (state.params, state.opt_state), inputs)
    scores = {"reward": reward.mean(), "loss": losses.mean()}
    return State(state.step + 1, params, opt_state, env_state, obs), scores


def evaluate(
    recipe: Recipe, params: Any, key: PRNGKeyArray, levels: Any, episodes: int
) -> Float[Array, ""]:
    """The mean return of whole episodes, each on a level that it draws, with sampled actions."""
    env = recipe.env
    key_reset, key_steps = jax.random.split(key)
    state, obs = jax.vmap(env.reset, in_axes=(0, None))(
        jax.random.split(key_reset, episodes), levels
    )

    def one(carry: Any, key: PRNGKeyArray) -> Any:
        state, obs, alive, total = carry
        new, _, _, _ = _act(recipe, params, key, state, obs, levels)
        total = total + jnp.where(alive, new.reward, 0.0)
        return (new.state, new.obs, alive & ~(new.terminated | new.truncated), total), None

    start = state, obs, jnp.ones(episodes, bool), jnp.zeros(episodes)
    (*_, total), _ = jax.lax.scan(one, start, jax.random.split(key_steps, env.horizon))
    return total.mean()


def _rollout(recipe: Recipe, state: State, key: PRNGKeyArray, levels: Any) -> tuple:
    """The environments' new state and observations, the rows [t, e, ...], the rewards."""

    def one(carry: tuple[Any, Array], key: PRNGKeyArray) -> Any:
        new, action, log_prob, value = _act(recipe, state.params, key, *carry, levels)
        return (new.state, new.obs), (
            new._replace(state=None, obs=carry[1]),
            action,
            log_prob,
            value,
        )

    keys = jax.random.split(key, recipe.length)
    (env_state, obs), (steps, action, log_prob, value) = jax.lax.scan(
        one, (state.env_state, state.obs), keys
    )
    flat = steps.last_obs.reshape(-1, recipe.env.observations)
    next_value = _apply(recipe, state.params, flat)[1].reshape(value.shape)
    ends = steps.terminated, steps.truncated
    options = {"discount": recipe.discount, "trace": recipe.trace}
    advantage = gae(steps.reward, value, next_value, *ends, **options)
    rows = Rows(steps.obs, action, log_prob, value, advantage, advantage + value)
    return env_state, obs, rows, steps.reward


def _act(
    recipe: Recipe, params: Any, key: PRNGKeyArray, state: Any, obs: Array, levels: Any
) -> tuple[Step, Array, Array, Array]:
    """A step of all environments, the actions, their log probabilities, and the values."""
    key_action, key_env = jax.random.split(key)
    logits, value = _apply(recipe, params, obs)
    action = jax.random.categorical(key_action, logits)
    keys = jax.random.split(key_env, len(action))
    new = jax.vmap(recipe.env.step, in_axes=(0, 0, 0, None))(keys, state, action, levels)
    return new, action, _of(jax.nn.log_softmax(logits), action), value


def _apply(recipe: Recipe, params: Any, obs: Array) -> tuple[Array, Array]:
    graph = nnx.split(nnx.eval_shape(lambda: Agent(recipe, nnx.Rngs(0))))[0]
    agent: Any = nnx.merge(graph, params, copy=True)
    return agent(obs)


def _of(values: Float[Array, "n a"], action: Int[Array, "n"]) -> Float[Array, "n"]:
    return jnp.take_along_axis(values, action[:, None], axis=-1)[:, 0]

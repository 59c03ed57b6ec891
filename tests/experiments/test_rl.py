"""PPO and mixreg: advantages, minibatches and the loss by hand, levels, and the script."""

import dataclasses
import json
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.core import loop
from experiments.rl import __main__ as rl
from experiments.rl import levels as rl_train
from experiments.rl import ppo
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
RNG = np.random.default_rng


def coin():
    """Episodes of three steps: name the sign that is shown, times the level."""

    def toss(key):
        return jnp.where(jax.random.bernoulli(key), 1.0, -1.0)

    def reset(key, levels):
        sign = toss(key)
        return (sign, jnp.zeros((), jnp.int32)), sign * levels[0]

    def step(key, state, action, levels):
        (sign, time), following = state, toss(key)
        reward = 1.0 * ((sign > 0) == (action == 1)) + 0 * levels[0, 0]
        end, obs = time == 2, following * levels[0]
        state = following, jnp.where(end, 0, time + 1)
        return ppo.Step(state, obs, obs, reward, end, jnp.zeros((), bool))

    return ppo.Env(reset, step, observations=1, actions=2, horizon=5)


def recipe(env=None, **options):
    sizes = {"hidden": 8, "envs": 4, "length": 12, "epochs": 2, "minibatches": 2}
    return ppo.Recipe(env or coin(), optax.adam(0.02), **sizes | options)


def rows(n=64, features=3, seed=0):
    rng = RNG(seed)
    numbers = rng.normal(size=(4, n)).astype(np.float32)
    obs = rng.normal(size=(n, features)).astype(np.float32)
    return ppo.Rows(obs, rng.integers(4, size=n), *numbers)


def test_readme_block():
    source = block("old_log_probs")
    assert len(source.strip().splitlines()) <= 12
    part = rows(n=6, features=2)

    def policy(obs):
        return jnp.stack([obs[:, 0], 0 * obs[:, 0], obs[:, 1], obs.sum(1)], 1), obs[:, 1]

    names = {"obs": part.obs, "actions": part.action, "old_log_probs": part.log_prob}
    names |= {"advantages": part.advantage, "returns": part.target}
    found = run(source, key=KEY, model=policy, **jax.tree.map(jnp.asarray, names))
    mix = found["mix"]
    lam = np.asarray(mix.lam)
    assert (lam >= 0.5).all() and len(set(lam)) == 6
    blend = lambda x: lam * x + (1 - lam) * x[::-1]
    obs = np.stack([blend(column) for column in part.obs.T], axis=1)
    np.testing.assert_allclose(found["obs"], obs, rtol=1e-5)
    np.testing.assert_array_equal(found["actions"], part.action)
    advantages = blend(part.advantage)
    advantages = (advantages - advantages.mean()) / advantages.std()
    logits = np.asarray(policy(obs)[0])
    log_probs = (logits - np.log(np.exp(logits).sum(1, keepdims=True)))[range(6), part.action]
    ratios = np.exp(log_probs - blend(part.log_prob))
    actor = -np.minimum(ratios * advantages, np.clip(ratios, 0.8, 1.2) * advantages).mean()
    critic = ((obs[:, 1] - blend(part.target)) ** 2).mean()
    np.testing.assert_allclose(found["loss"], actor + 0.5 * critic, rtol=1e-4)


def test_advantages_by_hand_where_episodes_end():
    """γ = 0.5, τ = 0.5. A terminal step has no next value; one cut off in time has."""
    reward, value = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0, 40.0])
    after, never = np.array([20.0, 25.0, 40.0, 60.0]), np.zeros(4, bool)
    ends = np.array([False, True, False, False])
    gae = partial(ppo.gae, reward, value, after, discount=0.5, trace=0.5)
    # δ without an end: 1 + 10 - 10, 2 + 12.5 - 20, 3 + 20 - 30, 4 + 30 - 40
    last = -7 - 6 / 4
    plain = [1 + (-5.5 + last / 4) / 4, -5.5 + last / 4, last, -6]
    np.testing.assert_allclose(gae(never, never), plain, rtol=1e-6)
    np.testing.assert_allclose(gae(ends, never), [1 - 18 / 4, -18, last, -6], rtol=1e-6)
    np.testing.assert_allclose(gae(never, ends), [1 - 5.5 / 4, -5.5, last, -6], rtol=1e-6)


def test_nothing_of_the_next_episode_is_in_a_pair():
    """Whatever comes after an end, mixed rows from before it are the same."""
    rng, ends = RNG(1), np.array([False, False, True, False, False, False])
    reward, value, after = rng.normal(size=(3, 6)).astype(np.float32)

    def before(reward, value, after):
        numbers = ppo.gae(reward, value, after, ends, ~ends & ends, discount=0.9, trace=0.8)
        part = rows(n=6)._replace(advantage=numbers, target=numbers + value)
        first = jax.tree.map(lambda x: jnp.asarray(x)[:3], part)
        return ppo.mixed(KEY, first, alpha=0.5)

    late = np.where(np.arange(6) > 2, 100.0, 0.0).astype(np.float32)
    here = before(reward, value, after)
    there = before(reward + late, value + late, after + late + 7 * ends)
    jax.tree.map(np.testing.assert_array_equal, here, there)
    assert (here.advantage != before(reward + 1, value, after).advantage).all()


def test_the_mixed_minibatch_by_hand():
    part = rows()
    mix = jm.sample_mixup(KEY, (64,), lam_law=jm.folded_beta(0.2), per="example")
    lam = np.asarray(mix.lam)
    assert lam.min() >= 0.5 and (lam < 0.95).any() and len(np.unique(lam)) > 20
    blend = lambda x: (lam * x.T + (1 - lam) * x[::-1].T).T
    found = ppo.mixed(KEY, part, alpha=0.2)
    for name in ("obs", "log_prob", "value", "advantage", "target"):
        np.testing.assert_allclose(
            getattr(found, name), blend(getattr(part, name)), rtol=1e-4, atol=1e-6
        )
    np.testing.assert_array_equal(found.action, part.action)
    only = ppo.mixed(KEY, part, alpha=0.2, supervise=0.0)
    np.testing.assert_array_equal(only.obs, found.obs)
    jax.tree.map(np.testing.assert_array_equal, only._replace(obs=0), part._replace(obs=0))


def test_pictures_are_blended_as_floats():
    """Bytes have no average of their own; half a grey level is kept."""
    part = rows()._replace(obs=np.zeros((64, 2, 2, 1), np.uint8))
    with pytest.raises(TypeError, match="dtype="):
        ppo.mixed(KEY, part, alpha=0.2)


def test_without_mixing_it_is_plain_ppo():
    """λ = 1, exactly: the rows as they came, but for the advantages' scale."""
    part = rows()
    found = jax.jit(partial(ppo.minibatch, recipe()))(KEY, part)
    jax.tree.map(
        np.testing.assert_array_equal, found._replace(advantage=0), part._replace(advantage=0)
    )
    expected = (part.advantage - part.advantage.mean()) / part.advantage.std()
    np.testing.assert_allclose(found.advantage, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0, np.inf])
def test_advantages_are_normalised_after_mixing(alpha):
    """Before it they would have shrunk: an average varies less than what is averaged."""
    part = rows(n=256)
    found = ppo.minibatch(recipe(alpha=alpha), KEY, part)
    assert abs(float(found.advantage.mean())) < 1e-5
    np.testing.assert_allclose(found.advantage.std(), 1, rtol=1e-4)
    assert ppo.mixed(KEY, part, alpha=1.0).advantage.std() < 0.95 * part.advantage.std()
    same = ppo.minibatch(recipe(), KEY, part._replace(advantage=np.full(256, 3, np.float32)))
    np.testing.assert_array_equal(same.advantage, 0)  # not NaN


def test_without_folding_the_dominant_action_is_selected():
    """A pair gives the same two rows, whichever way round, as when λ is folded."""
    part = rows()
    draw = partial(jm.sample_mixup, KEY, (64,), per="pair")
    mix, folded = draw(alpha=0.7), draw(lam_law=jm.folded_beta(0.7))
    assert 0.2 < (mix.lam < 0.5).mean() < 0.8
    lam = np.asarray(folded.lam)
    # The folded draw has a key of its own: the same weights for both.
    lam = jnp.where(mix.lam < 0.5, 1 - lam, lam)
    mix = dataclasses.replace(mix, mask=lam, lam=lam)
    dominant = dataclasses.replace(mix, mask=mix.lam >= 0.5)
    actions = jm.select(dominant, part.action)
    own = np.asarray(mix.lam) >= 0.5
    np.testing.assert_array_equal(actions, np.where(own, part.action, part.action[::-1]))
    table = lambda obs, action: np.array(sorted(np.column_stack([obs, action]).round(4).tolist()))
    unfolded = table(jm.blend(mix, part.obs), actions)
    np.testing.assert_allclose(unfolded, table(jm.blend(folded, part.obs), part.action), atol=1e-3)
    wrong = table(jm.blend(mix, part.obs), part.action)
    assert np.abs(unfolded - wrong).max() > 0.5


def test_the_loss_by_hand():
    one = recipe(coin()._replace(observations=3, actions=4), entropy=0.1)
    agent, part = ppo.Agent(one, nnx.Rngs(0)), rows()
    logits, value = map(np.asarray, agent(part.obs))
    part = part._replace(value=value + RNG(1).normal(size=64).astype(np.float32) / 5)
    found = ppo.objective(one, nnx.split(agent)[1], part)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    ratio = np.exp(log_p[range(64), part.action] - part.log_prob)
    assert (ratio < 0.8).any() and (ratio > 1.2).any()
    actor = np.minimum(ratio * part.advantage, np.clip(ratio, 0.8, 1.2) * part.advantage)
    near = part.value + np.clip(value - part.value, -0.2, 0.2)
    assert (near != value).any()
    errors = np.maximum((value - part.target) ** 2, (near - part.target) ** 2)
    entropy = -(np.exp(log_p) * log_p).sum(1)
    expected = -actor.mean() + 0.5 * errors.mean() / 2 - 0.1 * entropy.mean()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def fit():
    train = rl_train.seeds(lambda alpha: recipe(alpha=alpha))

    def fit(alpha, seeds=(0, 1), level=1.0):
        keys = jax.vmap(jax.random.key)(jnp.array(seeds))
        levels = jnp.full((len(keys), 1, 1), level)
        sizes = {"checks": 2, "every": 30, "episodes": 16, "tick": lambda n: None}
        return train(alpha, keys, levels, -levels, **sizes)

    return fit


@pytest.mark.slow
def test_it_learns_and_a_seed_is_the_same_run_whatever_is_beside_it(fit):
    """Signs of training are learned; on unseen levels they mean the reverse, and all is wrong."""
    returns = fit(0.2)
    assert returns["seen"].shape == (2, 2)
    assert (returns["seen"][:, 1] > 2.5).all() and (returns["unseen"][:, 1] < 0.5).all()  # of 3
    other = fit(0.2, seeds=(2, 1))
    np.testing.assert_allclose(other["seen"][1], returns["seen"][1], atol=1e-5)


def test_rewards_that_are_no_numbers_stop_the_run(fit):
    with pytest.raises(loop.Stop, match="At update 1 of seed 0 the mean reward is nan: mend"):
        fit(0.0, level=jnp.nan)


@pytest.mark.parametrize("alpha", [-0.2, np.nan, np.inf])
def test_an_alpha_that_is_none_is_refused(fit, alpha):
    with pytest.raises(loop.Stop, match=r"mixreg got alpha=.*take 0.2"):
        fit(alpha)


def test_levels_look_different_and_are_the_same_underneath():
    env = rl_train.cartpole(features=2, horizon=3)
    assert (env.observations, env.actions, env.horizon) == (6, 2, 3)
    levels = np.asarray(rl_train.draw_levels(KEY, count=50, features=2))
    assert levels.shape == (50, 5, 2)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    state, _ = reset(KEY, levels)
    first = state[1]
    assert (np.asarray(first) == levels).all((1, 2)).sum() == 1  # one of them
    for turn in range(3):
        new = step(jax.random.fold_in(KEY, turn), state, jnp.int32(turn % 2), levels)
        # Its look is of the level that the episode is in, at its end too.
        seen = np.tanh(new.last_obs[:4] @ first[:4] + first[4])
        np.testing.assert_allclose(new.last_obs[4:], seen, rtol=1e-4)
        assert new.reward == 1 and not new.terminated and new.truncated == (turn == 2)
        state = new.state
    assert (state[1] != first).any()  # a new episode, a new level
    np.testing.assert_allclose(
        new.obs[4:], np.tanh(new.obs[:4] @ state[1][:4] + state[1][4]), rtol=1e-4
    )
    assert (new.obs[:4] != new.last_obs[:4]).all()


def test_without_gymnax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(loop.Stop, match=r'pip install -e "\.\[rl\]"'):
        rl_train.cartpole(features=2, horizon=3)


@pytest.mark.slow
def test_smoke_prints_writes_and_goes_on(tmp_path, capsys):
    assert rl.main(rl.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("rl", tmp_path / "smoke")
    printed = capsys.readouterr().out
    for word in (*rl.METHODS, "unseen", "Pass rule"):
        assert word in printed
    out = tmp_path / "smoke"
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "runs.jsonl").read_text()
    runs = [json.loads(line) for line in text.splitlines()]
    assert len(runs) == 2 * len(rl.METHODS)
    for one in runs:
        assert one["unseen"] == one["unseen_curve"][-1] and one["lost"] == -one["unseen"]
        assert len(one["seen_curve"]) == rl.CHECKS
    assert rl.main(rl.Config(out=tmp_path, smoke=True)) == 0
    assert (out / "runs.jsonl").read_text() == text


def test_updates_that_cannot_be_checked_are_refused(tmp_path):
    with pytest.raises(loop.Stop, match="updates got 15"):
        rl.main(rl.Config(out=tmp_path, updates=15))

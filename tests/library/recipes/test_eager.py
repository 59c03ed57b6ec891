"""Recipes outside of a jit: a few programs a call, of which none is compiled again."""

import jax
import jax.numpy as jnp
import pytest

import jax_mixup as jm

ROWS, CLASSES = 13, 7
SHAPE = (ROWS, 9, 11, 3)  # of no other test, so that what depends on a shape is compiled here
IDS = jnp.arange(ROWS) % CLASSES
# Random numbers, λ, the mask, λ of all examples, the blend, the labels: each starts in 10 µs.
PROGRAMS = {jm.mixup: 5, jm.cutmix: 6, jm.mixup_or_cutmix: 7, jm.randommix: 1}
recipes = pytest.mark.parametrize("recipe", PROGRAMS, ids=lambda recipe: recipe.__name__)

_compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **facts: _compiled.append(event)
)


def compiled(call):
    """How many programs are compiled in a call."""
    _compiled.clear()
    call()
    return sum(event.endswith("backend_compile_duration") for event in _compiled)


def mixed(recipe, seed, **options):
    images = jax.random.normal(jax.random.key(seed), SHAPE)
    key = jax.random.key(seed)
    return lambda: recipe(key, images, IDS, num_classes=CLASSES, **options)


@recipes
def test_a_call_outside_of_a_jit_runs_few_programs(recipe):
    jax.clear_caches()
    assert compiled(mixed(recipe, 0)) == PROGRAMS[recipe]
    assert compiled(mixed(recipe, 1)) == 0


@pytest.mark.parametrize("recipe", [jm.mixup, jm.cutmix], ids=lambda recipe: recipe.__name__)
def test_other_numbers_and_new_functions_compile_nothing(recipe):
    def options(number):
        return {"lam_law": lambda key, shape: jnp.full(shape, number)}, {"alpha": number}

    for option in options(0.25):
        recipe_once = mixed(recipe, 0, smoothing=0.1, **option)
        recipe_once()
    for option in options(0.75):
        assert compiled(mixed(recipe, 1, smoothing=0.2, **option)) == 0


@recipes
def test_inside_of_a_jit_they_leave_no_mark(recipe):
    step = jax.jit(lambda key, images: recipe(key, images, IDS, num_classes=CLASSES))
    text = step.lower(jax.random.key(0), jnp.zeros(SHAPE)).as_text()
    inner = ("_uniforms", "beta_of", "_each", "_blended", "_switched", "_key_and_uniforms")
    assert not [name for name in inner if f"@{name}" in text]

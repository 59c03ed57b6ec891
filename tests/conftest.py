"""Eight host devices, and the settings that catch a class of bugs: nothing promotes silently."""

import os

# Level 0 spares LLVM's effort, half of a test's time; the HLO that tests read is the same. Users
# run XLA's own level: JAX_MIXUP_TESTS_OPTIMISED=1 leaves it, and CI runs laws and verbs so.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_backend_optimization_level=0"
    * (os.environ.get("JAX_MIXUP_TESTS_OPTIMISED", "") in ("", "0"))
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.hookimpl(tryfirst=True)  # before xdist reads these options
def pytest_cmdline_main(config):
    """Two workers, unless `-n` says otherwise; without xdist (`-p no:xdist`) one process."""
    option = config.option
    if not config.pluginmanager.has_plugin("xdist") or hasattr(config, "workerinput"):
        return
    if option.numprocesses is None and not option.collectonly and not option.usepdb:
        option.numprocesses = 2
    if option.numprocesses and option.dist == "no":
        option.dist = "loadgroup"  # tests that share what is compiled go to one worker


@pytest.fixture(scope="module", autouse=True)
def drop_compiled_programs():
    """What a module compiled goes when it ends: piled up, it took gigabytes a worker."""
    yield
    jax.clear_caches()

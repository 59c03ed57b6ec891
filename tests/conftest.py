"""Eight host devices, and the settings that catch a class of bugs: nothing promotes silently."""

import os

# Level 0 spares LLVM's effort, half of a test's time; the HLO that tests read is the same.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
from hypothesis import HealthCheck, settings

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Every new shape compiles, so examples are few and slow; the table of methods makes up for it.
# They are the same in each run, so that a red test is a change of the code, not of the draw.
settings.register_profile(
    "jax",
    deadline=None,
    derandomize=True,
    max_examples=6,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("jax")

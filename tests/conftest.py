"""Eight host devices, compiled programs that are kept, and settings that catch a class of bugs."""

import os
from importlib.metadata import version

# These spare LLVM's effort, three quarters of a test's time; the HLO that tests read is the same.
# Users run XLA's own level: JAX_MIXUP_TESTS_OPTIMISED=1 leaves it, and CI runs laws and verbs so.
FLAGS = ["--xla_force_host_platform_device_count=8"]
if os.environ.get("JAX_MIXUP_TESTS_OPTIMISED", "") in ("", "0"):
    FLAGS += ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
    FLAGS += ["--xla_cpu_parallel_codegen_split_count=1"]
    # An unknown flag ends the process, and newer versions of XLA do not know this one.
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
        FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# What a process may hold before its compiled programs are dropped: piled up, they take gigabytes.
MOST_BYTES = 1_200_000_000


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


def pytest_configure(config):
    """Keep compiled programs in pytest's cache: workers, commands and later runs read them there.

    `--cache-clear` removes them. A folder that JAX_COMPILATION_CACHE_DIR names is used instead.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and hasattr(config, "cache"):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("compiled"))
    # For the commands that tests start, which read these names, and for this process.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    for name, kind in (
        ("JAX_COMPILATION_CACHE_DIR", str),
        ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", float),
        ("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", int),
    ):
        if name in os.environ:
            jax.config.update(name.lower(), kind(os.environ[name]))


def memory():
    """Bytes that this process holds; None where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


limit = MOST_BYTES


@pytest.fixture(autouse=True)
def drop_compiled_programs():
    """Where they are many; the limit grows with what stays, else they would go after every test."""
    global limit
    yield
    if (memory() or 0) > limit:
        jax.clear_caches()
        limit = max(MOST_BYTES, memory() + 300_000_000)


@pytest.fixture(scope="module", autouse=True)
def drop_them_with_their_module():
    yield
    if memory() is None:
        jax.clear_caches()

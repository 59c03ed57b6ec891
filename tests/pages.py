"""The README's Python, as it stands, to be run by tests."""

import re
from pathlib import Path

import jax

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
IMPORTS = BLOCKS[0][: BLOCKS[0].index("@nnx.jit")]


def block(marker):
    """The one block that holds `marker`."""
    (found,) = [text for text in BLOCKS if marker in text]
    return found


def run(source, **names):
    """The names after the block, run as a reader would: under JAX's own rules of promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(IMPORTS + source, names)
    return names

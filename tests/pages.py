"""The Python of every README.md, as it stands, to be run by tests."""

import re

import jax

from experiments.harness import pages

TEXTS = {path.relative_to(pages.ROOT).as_posix(): path.read_text() for path in pages.pages()}
README = TEXTS["README.md"]
CODE = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
BLOCKS = [block for text in TEXTS.values() for block in CODE.findall(text)]
IMPORTS = BLOCKS[0][: BLOCKS[0].index("@nnx.jit")]


def block(marker):
    """The one block of all pages that holds `marker`."""
    (found,) = [text for text in BLOCKS if marker in text]
    return found


def run(source, /, **names):
    """The names after the block, run as a reader would: under JAX's own rules of promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(IMPORTS + source, names)
    return names

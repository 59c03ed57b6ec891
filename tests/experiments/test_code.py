"""The hash of the code that a question runs: what counts, and what does not."""

import shutil

import pytest

from experiments.harness import code

QUESTION = '''"""Does it help?"""

from experiments.core.train import fit
from experiments.harness.plots import gains
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Table
import experiments.models as models
import jax_mixup as jm

TABLE = Table("a caption")
RATE = 0.1  # of learning


def unused():
    return 2


def verdict(runs):
    return "PASS"


def main(config):
    """Train."""
    model = models.make()
    work = lambda task: fit(model, RATE, jm.mixup)
    return run_study(Study(work=work, table=TABLE, rule=verdict, title="Title"))
'''
FILES = {
    "experiments/asked/__main__.py": QUESTION,
    "experiments/core/train.py": "STEPS = 3\n\n\ndef fit(*given):\n    return step(STEPS)\n\n\n"
    "@cached\ndef step(n):\n    return n + 1\n",
    "experiments/harness/plots.py": "def gains():\n    pass\n",
    "experiments/harness/study.py": "class Study:\n    pass\n\n\ndef run_study(study):\n    pass\n",
    "experiments/harness/tables.py": "class Table:\n    pass\n",
    "experiments/models/__init__.py": "from experiments.models.mlp import make\n",
    "experiments/models/mlp.py": "def make():\n    from experiments.models import deep\n\n"
    "    return deep.layers(1)\n",
    "experiments/models/deep.py": "def layers(n):\n    return 3 * n\n",
    "jax_mixup/__init__.py": "from .recipes import cutmix, mixup\n",
    "jax_mixup/recipes.py": "def mixup():\n    return 1\n\n\ndef cutmix():\n    return 2\n",
}
COUNTS = [
    ("experiments/asked/__main__.py", "RATE = 0.1", "RATE = 0.2"),
    ("experiments/asked/__main__.py", "fit(model, RATE", "fit(model, 2 * RATE"),
    ("experiments/core/train.py", "STEPS = 3", "STEPS = 4"),
    ("experiments/core/train.py", "return n + 1", "return n + 2"),
    ("experiments/core/train.py", "@cached\n", ""),
    ("experiments/models/mlp.py", "layers(1)", "layers(2)"),
    ("experiments/models/deep.py", "3 * n", "4 * n"),  # imported within a function
    ("jax_mixup/recipes.py", "return 1", "return 3"),
]
DOES_NOT_COUNT = [
    ("experiments/asked/__main__.py", "# of learning", "# of learning, as it was"),
    ("experiments/asked/__main__.py", '"""Train."""', '"""Train all."""'),
    ("experiments/asked/__main__.py", '"a caption"', '"another caption"'),
    ("experiments/asked/__main__.py", '"PASS"', '"FAIL"'),
    ("experiments/asked/__main__.py", "return 2", "return 3"),
    ("experiments/harness/study.py", "(study):\n    pass", "(study):\n    raise ValueError"),
    ("jax_mixup/recipes.py", "return 2", "return 4"),
    ("experiments/core/train.py", "\n\n\n@cached", "\n\n\n\n# Why.\n@cached"),
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "ROOT", tmp_path)
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    forget()
    yield tmp_path
    forget()


def forget():
    code._module.cache_clear()
    code._path.cache_clear()


def hash_after(project, name, old, new):
    text = (project / name).read_text()
    assert text.count(old) == 1
    (project / name).write_text(text.replace(old, new))
    forget()
    return code.of("asked")


@pytest.mark.parametrize(("name", "old", "new"), COUNTS)
def test_what_trains_counts(project, name, old, new):
    assert hash_after(project, name, old, new) != code_before(project)


@pytest.mark.parametrize(("name", "old", "new"), DOES_NOT_COUNT)
def test_what_only_shows_does_not(project, name, old, new):
    assert hash_after(project, name, old, new) == code_before(project)


def code_before(project):
    for name, text in FILES.items():
        (project / name).write_text(text)
    forget()
    return code.of("asked")


def test_names_are_followed_to_where_they_are_defined(project):
    found = code.reached("experiments.asked.__main__", "main")
    assert found == {
        ("experiments.asked.__main__", "main"),
        ("experiments.asked.__main__", "RATE"),
        ("experiments.core.train", "fit"),
        ("experiments.core.train", "step"),
        ("experiments.core.train", "STEPS"),
        ("experiments.models.mlp", "make"),
        ("experiments.models.deep", "layers"),
        ("jax_mixup.recipes", "mixup"),
    }


def test_another_question_has_another_hash(project):
    shutil.copytree(project / "experiments/asked", project / "experiments/another")
    assert code.of("another") != code.of("asked")


def test_the_main_job_reaches_its_parts():
    found = {name for _, name in code.reached("experiments.label_noise.__main__", "main")}
    assert {"METHODS", "train_step", "mixed_loss", "MLP", "sample_mixup", "pair_loss"} <= found
    assert not {"TABLE", "RULE", "curves", "run_study", "sample_fmix"} & found

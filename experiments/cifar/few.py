"""Questions about few pictures: methods on ResNet-8, with what is chosen on other pictures.

A seed trains on pictures of its own, the same under each method; all are tested on the same ones.
What is chosen is chosen on training pictures that no result trains on: half of them to learn from,
half, with right labels, to test on.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from experiments.cifar import recipe
from experiments.core.methods import Method
from experiments.harness import cli
from experiments.harness.choose import Candidates, Choice, Search
from experiments.harness.jobs import Job, Task
from experiments.harness.runs import Run, defining
from experiments.harness.study import Study

RESERVED = 10_000  # training pictures, for choosing
SMALL = {"data": None, "subset": 256, "epochs": 2, "score_every": 1, "seeds": 2}  # for --smoke


@dataclasses.dataclass(frozen=True)
class Options(recipe.Options):
    """The defaults of such questions."""

    model: str = "preact8"
    """Of experiments/models."""
    subset: cli.Count | None = 5000
    """Number of training pictures, drawn for each seed."""
    schedule: Literal["steps", "cosine"] = "cosine"
    """Whether the rate falls after 1/2 and 3/4 of the epochs, or along a cosine to 0."""
    score_every: cli.Count = 5
    """Epochs from one score on the test pictures to the next; a divisor of the epochs."""
    save_every: cli.Count = 50
    """Dispatches from one checkpoint to the next; an epoch is five or some more."""


def study_of(
    name: str,
    config: Any,
    group: str,
    methods: Mapping[str, Method],
    candidates: Candidates,
    *,
    noise: float = 0.0,
    **shown: Any,
) -> Study:
    """The study of some methods.

    Args:
      name: the question's folder.
      config: its options, with `out` and `seeds`.
      group: what to call it in tables.
      methods: the methods; numbers of those in `candidates` do not count.
      candidates: what is chosen from.
      noise: the fraction of training labels that are replaced by random ones.
      shown: the study's table, plot and rule.
    """
    data = recipe.read(config)
    reserved = RESERVED if config.data else 512
    title = recipe.title(config, data)
    facts = {"pictures": title, "noise": noise, "reserved": reserved}
    settings = defining(name, config, facts)
    train = partial(recipe.make_work, config, data, settings=settings, reserved=reserved)
    train_chosen, train_tried = train(out=config.out), train(out=config.out / "choose")
    tried = {name: method for numbers in candidates.values() for name, method in numbers.items()}

    def work(task: Task) -> list[Run]:
        best = task.chosen.get((task.group, task.method))
        if best is None:
            return train_chosen(task, config.model, methods[task.method], noise=noise)
        facts = {"chosen": best.name, "chosen_error": best.error}
        results = train_chosen(task, config.model, best.numbers, noise=noise)
        return [result | facts for result in results]

    def try_out(task: Task) -> list[Run]:
        return train_tried(task, config.model, tried[task.method], noise=noise)

    def said(job: Job, best: Choice) -> str:
        return best.name

    return Study(
        name=name,
        out=config.out,
        title=f"{title}, {config.seeds} paired seeds, {config.epochs} epochs",
        config=config,
        facts=facts,
        groups=(group,),
        methods=methods,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        one_by_one=True,
        search=Search(candidates, try_out, seeds=1, said=said, other="pictures"),
        **shown,
    )

"""List the experiments: what each shows, its command, how long it takes."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

EXPERIMENTS = [
    (
        "label_noise",
        "Does mixup keep a network from memorising wrong labels? Digits, ten paired seeds.",
        "2 min; --full 6 min",
    ),
    (
        "benchmarks",
        "What does mixing add to a step? Against one read and one write, and other libraries.",
        "15 min; --quick 3 min",
    ),
    (
        "benchmarks.tpu",
        "The same on TPUs, compiled for 8 and 64 chips without having one: bytes, collectives.",
        "20 min; needs the extra tpu",
    ),
    (
        "imagenet",
        "ResNet-50 and ViT-S/16 on any number of devices and hosts, checkpointed.",
        "days; --smoke 30 s",
    ),
    ("gallery", "What each method does to a pair of pictures: the figure in the README.", "10 s"),
]


def main() -> None:
    table = Table(box=SIMPLE_HEAD)
    for column in ("NAME", "what it shows", "time"):
        table.add_column(column)
    for row in EXPERIMENTS:
        table.add_row(*row)
    console = Console()
    console.print("python -m experiments.NAME runs one; --help shows its options.")
    console.print(table)


if __name__ == "__main__":
    main()

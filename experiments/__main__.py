"""List the experiments: what each shows, its command, how long it takes."""

from rich.console import Console
from rich.table import Table

EXPERIMENTS = [
    (
        "label_noise",
        "Does mixup keep a network from memorising wrong labels? Digits, ten paired seeds.",
        "about 1.5 min on two cores; --full about 8 min",
    ),
    ("gallery", "What each method does to a pair of pictures: the figure in the README.", "10 s"),
]


def main() -> None:
    table = Table(title="Experiments", title_justify="left")
    for column in ("command", "what it shows", "time"):
        table.add_column(column)
    for name, what, time in EXPERIMENTS:
        table.add_row(f"python -m experiments.{name}", what, time)
    console = Console()
    console.print(table)
    console.print("Each takes --help, and --out for where its results go.")


if __name__ == "__main__":
    main()

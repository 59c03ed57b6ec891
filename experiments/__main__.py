"""List the experiments: what each shows, its command, how long it takes."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

EXPERIMENTS = [  # name, what it shows, time on two cores
    (
        "label_noise",
        "Does mixup keep a network from memorising wrong labels? Digits, or CIFAR-10 by --data.",
        "2 min; --full 6 min",
    ),
    (
        "cifar",
        "ERM, mixup, CutMix and both on CIFAR-10 or CIFAR-100, by the paper's recipe; resumes.",
        "hours, on a GPU; a subset minutes",
    ),
    ("ablation", "What in mixup does the work? Pairs, labels, layers, grain; noise.", "6 min"),
    ("few_labels", "Does mixup need fewer labels? With augmentation and without.", "6 min"),
    ("alpha", "How should α be chosen? Over model size and label noise; a rule of thumb.", "6 min"),
    (
        "calibration",
        "Is confidence what it should be? Before and after temperature scaling; OOD; RegMixup.",
        "6 min",
    ),
    ("robustness", "Attacks, white and black box, and common corruptions.", "6 min"),
    ("intrusion", "Where mixup fails: a class on the segment between two others. Cures.", "1 min"),
    (
        "semi_supervised",
        "MixMatch and ICT on two moons and digits with few labels; CIFAR-10 by --data.",
        "5 min",
    ),
    (
        "contrastive",
        "i-Mix, Un-Mix and MixCo beside SimCLR: features without labels, probed; or by --data.",
        "5 min",
    ),
    (
        "noisy_labels",
        "Wrong labels told by their losses: DivideMix, M-correction, and pairs of networks.",
        "5 min",
    ),
    ("imbalance", "Rare classes: re-weighting, mixup, Remix, MAMix, Balanced-MixUp.", "4 min"),
    ("regression", "Numbers as targets: mixup, C-Mixup, columns swapped; five tables.", "4 min"),
    ("tabular", "UCI's tables, at the paper's ten epochs and at convergence; any CSV.", "6 min"),
    ("gan", "A mixup discriminator on 2-D mixtures: modes, distances, a picture.", "6 min"),
    ("gan_images", "The same on digits: Fréchet distance, classes covered, samples.", "6 min"),
    ("rl", "mixreg for PPO: returns on levels of CartPole seen and unseen.", "5 min"),
    ("segmentation", "CamVid: mixing frames and masks, and with a mean teacher.", "10 min"),
    ("video", "Moving digits: boxes tied over frames, cuts in time, fades, mistakes.", "5 min"),
    ("audio", "Spoken digits of unseen speakers: waveforms, spectra, BC+; by --data.", "5 min"),
    ("text", "Sentences: mixing embeddings, hidden features, spans of words; masks.", "5 min"),
    ("detection", "Scenes of digits: mixup, CutMix and mosaic with boxes and weights.", "5 min"),
    (
        "family",
        "Every method of the family, ranked: digits, and pictures by --data, equal steps.",
        "20 min; --data 1 h",
    ),
    (
        "imagenet",
        "ResNet-50 and ViT-S/16 on any number of devices and hosts, checkpointed.",
        "days; --smoke 30 s",
    ),
    (
        "benchmarks",
        "What does mixing add to a step? Against one read and one write, and other libraries.",
        "15 min; --quick 3 min",
    ),
    ("benchmarks.costs", "What each method of the family costs, next to mixup.", "2 min"),
    (
        "benchmarks.throughput",
        "Images a second in training, against the same model in PyTorch.",
        "minutes, on a GPU",
    ),
    (
        "benchmarks.tpu",
        "Mixing on TPUs, compiled for 8 and 64 chips without having one: bytes, collectives.",
        "20 min; needs the extra tpu",
    ),
    ("gallery", "What each method does to a pair of pictures: the figure in the README.", "30 s"),
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

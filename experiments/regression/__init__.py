"""Numbers as targets: mixup, C-Mixup, columns swapped; five tables."""

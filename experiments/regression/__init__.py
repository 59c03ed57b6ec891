"""Does mixup help where targets are numbers? C-Mixup, columns swapped; five tables."""

TIME = "4 min"  # on two cores, unless it says otherwise

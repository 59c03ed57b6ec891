"""Does mixup keep a network from memorising wrong labels? Digits, or CIFAR-10 by --data."""

TIME = "2 min; --full 6 min"  # on two cores, unless it says otherwise

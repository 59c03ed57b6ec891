"""Does mixup keep a network from memorising wrong labels? Digits, or CIFAR-10 by --data."""

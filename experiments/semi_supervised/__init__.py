"""MixMatch and ICT on two moons and digits with few labels; CIFAR-10 by --data."""

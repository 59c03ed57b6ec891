"""What in mixup does the work? Pairs, labels, layers, grain; noise."""

TIME = "6 min"  # on two cores, unless it says otherwise

"""What in mixup does the work? Pairs, labels, layers, grain; noise."""

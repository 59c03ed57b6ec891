"""Does mixup help a head on frozen sentence embeddings? With right and with wrong labels."""

TIME = "80 min"  # on two cores, unless it says otherwise

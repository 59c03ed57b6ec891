"""What should be mixed in text? Embeddings, hidden features, spans of words; masks."""

TIME = "5 min"  # on two cores, unless it says otherwise

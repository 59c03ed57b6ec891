"""Sentences: mixing embeddings, hidden features, spans of words; masks."""

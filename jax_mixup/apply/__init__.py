"""Verbs that apply a mix: to inputs, labels, losses, metrics, features, boxes."""

"""Every method of the family, ranked: digits, and pictures by --data, equal steps."""

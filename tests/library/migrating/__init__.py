"""What others' code gave, as numbers, and what the code of jax_mixup/MIGRATING.md gives."""

"""Photos of a set, decoded once: as batches, as likenesses, and what is wrong with them."""

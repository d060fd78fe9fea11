"""Content-addressed results: digests, action keys, the local store. Knows nothing of DOL."""

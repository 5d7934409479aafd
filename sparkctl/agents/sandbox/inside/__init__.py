"""Programs of ours that run as jobs, from their source: each of the standard library alone, and of one file."""

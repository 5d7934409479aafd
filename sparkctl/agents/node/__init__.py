"""A node's own figures, served by a small program on each node: `sparkctl agents node`."""

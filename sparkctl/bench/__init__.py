"""Measurements: of the fabric between the nodes and of the model that they serve, graded, kept and compared."""

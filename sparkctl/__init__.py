"""sparkctl: from bare SSH to a served, tested model on DGX Sparks."""

__version__ = "0.1.0"

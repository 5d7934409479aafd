"""Simulated Sparks: machines to try sparkctl on, to test it against and to break."""

"""Simulated Sparks: machines to try sparkctl on, to test it against and to break.

`lifecycle` is the way in: `up`, `find`, `status`, `down`. The code that deploys never imports this package.
"""

"""For the tests of every room."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # machines are noisy, and time is no property of the code
settings.load_profile("untimed")

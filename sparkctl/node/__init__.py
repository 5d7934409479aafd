"""Programs that run on the nodes themselves, on their own python3 (3.10 or later), with its standard library alone."""

"""Run before sparkctl in the single-file binary: programs that it starts get the system's libraries, not its own.

The binary's loader puts its folder of libraries into LD_LIBRARY_PATH and keeps the user's value in
LD_LIBRARY_PATH_ORIG. It has done its work by now; ssh, sudo or python3 would load a wrong libcrypto through it.
"""

import os

_original = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
os.environ.pop("LD_LIBRARY_PATH", None)
if _original is not None:
    os.environ["LD_LIBRARY_PATH"] = _original

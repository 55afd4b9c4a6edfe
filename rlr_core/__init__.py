"""RLR Studio's core: everything that would exist without a browser."""

import os

# The model libraries advise their developers on stderr, some of it while they are imported; their errors stay. Whoever wants the advice
# sets these variables.
for _library in ("DIFFUSERS", "TRANSFORMERS"):
    os.environ.setdefault(f"{_library}_VERBOSITY", "error")

"""The model libraries speak to their developers, not to the person at this program: progress bars and advice are switched off."""

import diffusers.utils.logging
import transformers.utils.logging


def quiet_libraries() -> None:
    """Errors only, no progress bars, from diffusers and transformers in this process."""
    for logging in (diffusers.utils.logging, transformers.utils.logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()

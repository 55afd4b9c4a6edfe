"""Progress bars of the model libraries are for their developers, not for the person at this program."""

import diffusers.utils.logging
import transformers.utils.logging


def quiet_libraries() -> None:
    """No progress bars from diffusers and transformers in this process; their advice is off since `rlr_core` was imported."""
    for logging in (diffusers.utils.logging, transformers.utils.logging):
        logging.disable_progress_bar()

"""To the Hugging Face hub. The token is only ever held in the memory of a call: no record, label, log or sentence has it."""

import re
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from rlr_core.errors import RLRError

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
# Printable and in one piece: the client's own error for anything else would quote the token.
TOKEN = re.compile(r"[!-~]+")
TOKEN_START = "hf_"
REASONS = {
    401: "it does not know this token; make one with the right to write at huggingface.co/settings/tokens",
    403: "this token may not write there; use one with the right to write, or a repository of your own",
    404: "there is no such owner, or this token may not see it; check the name",
    409: "something else of that name is there; choose another name",
    429: "it was asked too often; wait a few minutes",
}


def check_repository(repository: str) -> str:
    """The repository's name without surrounding space; RLRError if it cannot be one."""
    name = repository.strip()
    if name.startswith(TOKEN_START) and "/" not in name:
        raise RLRError("The repository looks like a token: put the token into its own field, and owner/name here.")
    if not REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise RLRError(f"repository = {name[:100]!r}: a repository is called owner/name, of letters, digits, '-', '_' and '.'; correct it.")
    return name


def push_folder(folder: Path, repository: str, token: str | None, is_private: bool) -> str:
    """Upload a folder as a model and return its address.

    Args:
        repository: owner/name; made if it is not there.
        token: one with the right to write; None for the one of HF_TOKEN or of `hf auth login`.

    Raises:
        RLRError: the hub refuses, or cannot be reached; its sentence never has the token.
    """
    name = check_repository(repository)
    key = (token or "").strip() or get_token()
    if not key:
        raise RLRError("There is no token, so the hub would not know you: give one with the right to write, or set HF_TOKEN.")
    if not TOKEN.fullmatch(key):
        raise RLRError("The token holds something that no token does, such as a space or a line break: paste it again and nothing else.")
    api = HfApi(endpoint=constants.ENDPOINT, token=key)
    try:
        api.create_repo(name, private=is_private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload a LoRA taught with RLR Studio")
    except HfHubHTTPError as problem:
        status = problem.response.status_code
        reason = REASONS.get(status, "try again later")
        # Not "from problem": what it carries of the request would be at hand wherever this error is shown.
        raise RLRError(f"The hub refused {name} (answer {status}): {reason}.") from None
    except Exception as problem:  # noqa: BLE001 - whatever the client raises may hold the token
        raise RLRError(
            f"The hub cannot be reached at {constants.ENDPOINT} ({type(problem).__name__}), so {name} was not uploaded: connect to the "
            "internet, see that HF_HUB_OFFLINE is not set, and try again."
        ) from None
    return f"{constants.ENDPOINT}/{name}"

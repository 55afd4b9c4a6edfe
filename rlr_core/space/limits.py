"""What visitors of a public Space may take, in one place."""

from dataclasses import dataclass

from rlr_core.config import setting

BASE_MODELS = ("emoji",)
# Those that need no download and no file; a function of one's own would run as Python.
REWARDS = ("taste", "text_match", "colourfulness", "brightness", "jpeg_size")


@dataclass(frozen=True)
class SpaceLimits:
    """How much there is for all visitors together, and for each."""

    visitors: int = setting(60, "Visitors at the same time.", minimum=1, maximum=10_000)
    idle_minutes: float = setting(
        60.0, "How long a visitor's work is kept after they were last seen.", minimum=0.01, maximum=10_000.0, unit="minutes"
    )
    rounds: int = setting(6, "Rounds that learn or wait, of all visitors together.", minimum=1, maximum=1000)
    rounds_an_hour: int = setting(8, "Rounds that a visitor may begin in an hour.", minimum=1, maximum=1000)
    updates: int = setting(20, "Updates in a round.", minimum=1, maximum=10_000)
    batch_size: int = setting(8, "Pictures sampled for an update.", minimum=2, maximum=1024)
    update_seconds: float = setting(
        180.0, "How long an update may take, since all others wait for it.", minimum=1.0, maximum=10_000.0, unit="s"
    )
    jobs: int = setting(6, "Jobs of a visitor that wait at the same time.", minimum=1, maximum=1000)
    questions: int = setting(
        16, "Questions of a visitor that wait, since all share one worker; at home there are more to choose from.", minimum=1, maximum=1000
    )
    sessions: int = setting(10, "Sessions of a visitor.", minimum=1, maximum=1000)
    prompts: int = setting(100, "Prompts of a session.", minimum=1, maximum=1000)
    uploads: int = setting(40, "Pictures that a visitor may bring along.", minimum=0, maximum=1000)
    disk: float = setting(150.0, "What a visitor's pictures and rounds may take.", minimum=1.0, maximum=1e5, unit="MB")
    gpu_seconds: int = setting(120, "How long a round may have a borrowed GPU (ZeroGPU) at a time.", minimum=10, maximum=600, unit="s")

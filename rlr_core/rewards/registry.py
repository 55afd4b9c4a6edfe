"""All rewards by name; factories take the reward's settings and `RewardResources`."""

from collections.abc import Mapping
from typing import Any

from rlr_core.chain import Reward
from rlr_core.errors import RLRError
from rlr_core.plugin import Plugin, find_with
from rlr_core.rewards.brightness import Brightness, BrightnessSettings
from rlr_core.rewards.clip_score import ClipScoreSettings, clip_score, clip_score_reason
from rlr_core.rewards.colourfulness import Colourfulness, ColourfulnessSettings
from rlr_core.rewards.composite import NAME, Composite, CompositeSettings
from rlr_core.rewards.hps_v2 import HpsV2Settings, hps_v2, hps_v2_reason
from rlr_core.rewards.image_reward import ImageReward, ImageRewardSettings, image_reward_reason
from rlr_core.rewards.jpeg_size import JpegSize, JpegSizeSettings
from rlr_core.rewards.laion_aesthetic import LaionAesthetic, LaionAestheticSettings, laion_aesthetic_reason
from rlr_core.rewards.own_function import OwnFunction, OwnFunctionSettings, own_function_reason
from rlr_core.rewards.pick_score import PickScoreSettings, pick_score, pick_score_reason
from rlr_core.rewards.resources import RewardResources
from rlr_core.rewards.taste import TasteReward, TasteSettings
from rlr_core.rewards.text_match import TextMatch, TextMatchSettings


def check_reward(name: str, values: Mapping[str, Any]) -> None:
    """Raise RLRError if there is no such reward or setting, or it cannot run here; nothing is loaded for it."""
    find_with(REWARDS, "reward", name, values)


def make_reward(name: str, values: Mapping[str, Any], resources: RewardResources) -> Reward:
    """The reward called `name` with settings `values`."""
    plugin, settings = find_with(REWARDS, "reward", name, values)
    return plugin.factory(settings, resources)


def _composite(settings: CompositeSettings, resources: RewardResources) -> Composite:
    return Composite(settings, {name: make_reward(name, settings.settings.get(name, {}), resources) for name in settings.weights})


def _composite_reason(settings: CompositeSettings = CompositeSettings()) -> str | None:  # noqa: B008 - frozen
    """What keeps the first part that cannot run."""
    for name in settings.weights:
        try:
            check_reward(name, settings.settings.get(name, {}))
        except RLRError as error:
            return str(error)
    return None


REWARDS: dict[str, Plugin[Reward]] = {
    "taste": Plugin(
        label="Your taste",
        help="What you chose in the questions so far, learned as a utility of pictures.",
        settings=TasteSettings,
        factory=TasteReward,
    ),
    "text_match": Plugin(
        label="Text match",
        help="How well a picture shows what its prompt says, judged by CLIP.",
        settings=TextMatchSettings,
        factory=lambda settings, resources: TextMatch(resources.clip()),
    ),
    "colourfulness": Plugin(
        label="Colourfulness",
        help="How strong and varied the colours are (Hasler and Süsstrunk).",
        settings=ColourfulnessSettings,
        factory=lambda settings, resources: Colourfulness(),
    ),
    "brightness": Plugin(
        label="Brightness",
        help="How light the picture is on average.",
        settings=BrightnessSettings,
        factory=lambda settings, resources: Brightness(),
    ),
    "jpeg_size": Plugin(
        label="Simplicity (JPEG size)",
        help="How few kilobytes the picture takes as a JPEG file; it has no gradient.",
        settings=JpegSizeSettings,
        factory=lambda settings, resources: JpegSize(settings),
    ),
    "clip_score": Plugin(
        label="CLIPScore",
        help="How well a picture shows what its prompt says, judged by a published CLIP (1.7 GB).",
        settings=ClipScoreSettings,
        factory=lambda settings, resources: clip_score(settings, resources.device),
        availability=clip_score_reason,
    ),
    "pick_score": Plugin(
        label="PickScore",
        help="Which picture people would pick for the prompt (3.9 GB).",
        settings=PickScoreSettings,
        factory=lambda settings, resources: pick_score(settings, resources.device),
        availability=pick_score_reason,
    ),
    "hps_v2": Plugin(
        label="Human Preference Score v2",
        help="How people would rank the picture among others for the prompt (3.9 GB).",
        settings=HpsV2Settings,
        factory=lambda settings, resources: hps_v2(settings, resources.device),
        availability=hps_v2_reason,
    ),
    "image_reward": Plugin(
        label="ImageReward",
        help="How people would rank the picture for the prompt, by a network in which words look at the picture (1.8 GB).",
        settings=ImageRewardSettings,
        factory=lambda settings, resources: ImageReward(settings, resources.device),
        availability=image_reward_reason,
    ),
    "laion_aesthetic": Plugin(
        label="Beauty (LAION)",
        help="How beautiful people rated such pictures, whatever the prompt (1.7 GB).",
        settings=LaionAestheticSettings,
        factory=lambda settings, resources: LaionAesthetic(settings, resources.device),
        availability=laion_aesthetic_reason,
    ),
    NAME: Plugin(
        label="Several rewards",
        help="A weighted sum of other rewards; it has a gradient if all of them have one.",
        settings=CompositeSettings,
        factory=_composite,
        availability=_composite_reason,
    ),
    "own_function": Plugin(
        label="Your own function",
        help="A Python file of yours that defines reward(images, prompts) or utility(image, prompt).",
        settings=OwnFunctionSettings,
        factory=lambda settings, resources: OwnFunction(settings),
        availability=own_function_reason,
    ),
}

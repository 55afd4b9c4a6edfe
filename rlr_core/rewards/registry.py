"""All rewards by name; factories take the reward's settings and `RewardResources`."""

from rlr_core.chain import Reward
from rlr_core.plugin import Plugin
from rlr_core.preference.clip import ClipEncoder
from rlr_core.rewards.brightness import Brightness, BrightnessSettings
from rlr_core.rewards.colourfulness import Colourfulness, ColourfulnessSettings
from rlr_core.rewards.jpeg_size import JpegSize, JpegSizeSettings
from rlr_core.rewards.taste import TasteReward, TasteSettings
from rlr_core.rewards.text_match import TextMatch, TextMatchSettings

REWARDS: dict[str, Plugin[Reward]] = {
    "taste": Plugin(
        label="Your taste",
        help="What you chose in the questions so far, learned as a utility of pictures.",
        settings=TasteSettings,
        factory=lambda settings, resources: TasteReward(resources),
    ),
    "text_match": Plugin(
        label="Text match",
        help="How well a picture shows what its prompt says, judged by CLIP.",
        settings=TextMatchSettings,
        factory=lambda settings, resources: TextMatch(ClipEncoder(resources.clip_folder, resources.device)),
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
}

"""The list of base models: light to read, and honest about what can run here."""

import subprocess
import sys
from dataclasses import replace

from rlr_core.pipelines.catalogue import BASE_MODELS, NEEDED_FILES


def test_every_card_is_complete():
    for name, card in BASE_MODELS.items():
        assert card.name == name and card.label and card.licence and card.memory_bytes > 0
        assert (card.download_bytes == 0) == (name == "emoji")


def test_reading_the_catalogue_imports_nothing_heavy():
    program = (
        "import sys; from rlr_core.pipelines.catalogue import BASE_MODELS\n"
        "[card.availability() for card in BASE_MODELS.values()]\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_availability_names_what_is_missing(tmp_path):
    card = replace(BASE_MODELS["emoji"], source=tmp_path)
    assert "its files are missing" in (card.availability() or "")
    for file in NEEDED_FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert card.is_on_disk() and card.availability() is None
    assert "needs about 1000000 GB of memory" in (replace(card, memory_bytes=10**15).availability() or "")


def test_a_hub_model_needs_its_download():
    card = replace(BASE_MODELS["sd15"], source="someone/not-cached")
    assert not card.is_on_disk()
    assert "HF_HUB_OFFLINE forbids the download" in (card.availability() or "")

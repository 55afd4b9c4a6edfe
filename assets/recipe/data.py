"""Fetch openly licensed emoji from npm packages and turn them into one captioned 64 px data set.

    python -m assets.recipe.data --out build/emoji

Three styles of the same concepts: Noto (Apache-2.0), Twemoji (CC-BY 4.0), Fluent flat (MIT). Pictures are put on white. The result is
`data.npz` (images, uint8, shape (N, 64, 64, 3)) and `data.json` (one record a picture). Re-running it gives the same files.
"""

import argparse
import io
import json
import subprocess
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cairosvg
import numpy as np
from PIL import Image

PACKAGES = {
    "noto": "emoji-datasource-google@16.0.0",
    "twemoji": "emoji-datasource-twitter@16.0.0",
    "fluent": "@lobehub/fluent-emoji-flat@1.1.0",
    "names": "emojilib@4.0.3",
}
STYLES = ("noto", "twemoji", "fluent")
IMAGE_SIZE = 64

# The generator learns these concepts only: on two cores, fewer and well-chosen ones give recognisable pictures.
GENERATED = frozenset(Path(__file__).with_name("concepts.txt").read_text().split("\n")[:-1])
# Flags are layouts of stripes, and components are not pictures: neither teaches the VAE anything it is asked for later.
SKIPPED_CATEGORIES = {"Flags", "Component"}


@dataclass(frozen=True)
class Record:
    """One picture: its style, its concept's name and synonyms, and whether the generator learns it."""

    style: str
    name: str
    synonyms: tuple[str, ...]
    unified: str
    is_generated: bool
    is_held_out: bool


def fetch(cache: Path) -> dict[str, Path]:
    """Download and unpack the npm packages into `cache` (skipping those already there); return their folders."""
    folders = {}
    for key, package in PACKAGES.items():
        folder = cache / key
        if not folder.exists():
            cache.mkdir(parents=True, exist_ok=True)
            printed = subprocess.run(["npm", "pack", "--silent", package], cwd=cache, check=True, capture_output=True, text=True).stdout
            archive = cache / printed.strip().splitlines()[-1]
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            archive.unlink()
        folders[key] = folder / "package"
    return folders


def _on_white(image: Image.Image) -> np.ndarray:
    image = image.convert("RGBA")
    if image.size != (IMAGE_SIZE, IMAGE_SIZE):
        image = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", image.size, (255, 255, 255, 255))
    canvas.alpha_composite(image)
    return np.asarray(canvas.convert("RGB"))


def _picture_path(folders: dict[str, Path], style: str, entry: dict) -> Path | None:
    if style == "fluent":
        names = [entry["unified"], entry.get("non_qualified") or ""]
        candidates = [folders[style] / "assets" / f"{name.lower()}.svg" for name in names if name]
    else:
        vendor = {"noto": "google", "twemoji": "twitter"}[style]
        candidates = [folders[style] / "img" / vendor / "64" / entry["image"]]
    return next((path for path in candidates if path.exists()), None)


def _load(path: Path) -> np.ndarray:
    if path.suffix == ".svg":
        png = cairosvg.svg2png(url=str(path), output_width=IMAGE_SIZE * 2, output_height=IMAGE_SIZE * 2)
        return _on_white(Image.open(io.BytesIO(png)))
    return _on_white(Image.open(path))


def _words(entry: dict, keywords: dict[str, list[str]]) -> tuple[str, ...]:
    character = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
    found = keywords.get(character) or keywords.get(character.replace("\ufe0f", "")) or [entry["name"]]
    words = [word.lower().replace("_", " ").strip() for word in found]
    return tuple(dict.fromkeys(word for word in words if word and word.replace(" ", "").isalpha()))


def build(out: Path, cache: Path) -> list[Record]:
    """Write data.npz and data.json to `out`; return the records."""
    folders = fetch(cache)
    entries = json.loads((folders["noto"] / "emoji.json").read_text())
    keywords = json.loads((folders["names"] / "dist" / "emoji-en-US.json").read_text())
    images, records = [], []
    for entry in sorted(entries, key=lambda entry: entry["sort_order"]):
        words = _words(entry, keywords)
        if entry["category"] in SKIPPED_CATEGORIES or not words:
            continue
        for style in STYLES:
            path = _picture_path(folders, style, entry)
            if path is None:
                continue
            images.append(_load(path))
            held_out = entry["sort_order"] % 20 == 7
            records.append(Record(style, words[0], words[1:4], entry["unified"], words[0] in GENERATED, held_out))
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "data.npz", images=np.stack(images))
    (out / "data.json").write_text(json.dumps([asdict(record) for record in records], ensure_ascii=False, indent=0))
    return records


def load(folder: Path) -> tuple[np.ndarray, list[Record]]:
    """Read what `build` wrote: images (N, 64, 64, 3) uint8, and their records."""
    records = [Record(**{**raw, "synonyms": tuple(raw["synonyms"])}) for raw in json.loads((folder / "data.json").read_text())]
    return np.load(folder / "data.npz")["images"], records


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/emoji"))
    arguments = parser.parse_args()
    records = build(arguments.out, arguments.out / "packages")
    generated = [record for record in records if record.is_generated]
    print(  # noqa: T201
        f"{len(records)} pictures of {len({r.name for r in records})} concepts; "
        f"the generator learns {len(generated)} of {len({r.name for r in generated})}"
    )


if __name__ == "__main__":
    main()

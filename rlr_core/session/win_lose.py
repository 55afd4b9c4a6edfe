"""Decided answers as a zip of folders that tools for direct preference optimisation read.

    win/000001.png   lose/000001.png     the better and the worse picture of an answer
    win/000001.txt   lose/000001.txt     their caption, the same
    metadata.jsonl                       a line an answer: {"win_file_name": ..., "lose_file_name": ..., "caption": ...}

Ties, "both are bad" and skipped questions have no winner and are left out. The same answers give the same bytes.
"""

import json
import zipfile
from io import BytesIO
from typing import IO

from rlr_core.errors import RLRError
from rlr_core.session.records import SessionRecord
from rlr_core.session.store import Store

# The earliest a zip can name: when it was made is nobody's business.
DATE = (1980, 1, 1, 0, 0, 0)


def write(file: IO[bytes], store: Store, session: SessionRecord) -> int:
    """Write the session's decided answers; returns how many. RLRError if there are none."""
    decided = [(pair, pair.preferred) for pair in store.answered_pairs(session.id) if pair.preferred]
    if not decided:
        raise RLRError("None of the answers names a better picture, so there is neither a winner nor a loser: decide between some first.")
    lines = []
    with zipfile.ZipFile(file, "w") as archive:
        for number, (pair, winner) in enumerate(decided, start=1):
            loser = pair.image_b if winner == pair.image_a else pair.image_a
            for folder, image_id in (("win", winner), ("lose", loser)):
                buffer = BytesIO()
                store.open_image(image_id).save(buffer, "PNG")
                archive.writestr(zipfile.ZipInfo(f"{folder}/{number:06}.png", DATE), buffer.getvalue())
                archive.writestr(zipfile.ZipInfo(f"{folder}/{number:06}.txt", DATE), pair.prompt)
            names = {f"{folder}_file_name": f"{folder}/{number:06}.png" for folder in ("win", "lose")}
            lines.append(json.dumps({**names, "caption": pair.prompt}, ensure_ascii=False))
        archive.writestr(zipfile.ZipInfo("metadata.jsonl", DATE), "\n".join(lines) + "\n")
    return len(decided)

"""The uploaded files of the sample school: what there is, how it is written, and how a day changes it.

Receipts and photos are the files that the database names; scans, documents and videos lie beside them. Most of the
bytes are compressed already, as in life: PDF, JPEG, PNG and MP4 do not shrink, text, CSV and bitmaps do.
"""

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.school import counts_at
from benchmarks.words import FIRST_NAMES, LAST_NAMES, SUBJECTS, Dice

CHANGED_SHARE = 0.01
ADDED_SHARE = 0.001
CHANGED_BYTES = 20_000
ADDED_FOLDER = "reçus/nouveau"
ADDED_BYTES = 120_000
FIRST_SECOND = 1_650_000_000
SECONDS = 60_000_000


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file to be: `path` is below the media folder; its real size differs from `size_bytes` by a few headers."""

    path: str
    size_bytes: int

    @property
    def kind(self) -> str:
        return self.path.rsplit(".", 1)[1]


def receipt_path(number: int) -> str:
    """What `finance_payment.receipt` holds; `number` starts at 1."""
    year, month, name = 2021 + number % 4, 1 + number // 4 % 12, LAST_NAMES[number % len(LAST_NAMES)].replace("'", "")
    return f"reçus/{year}/{month:02d}/paiement_{number:06d}_{name}.{'pdf' if number % 3 else 'jpg'}"


def photo_path(number: int) -> str:
    """What `school_student.photo` holds; `number` starts at 1."""
    return f"photos/élèves/{number % 100:02d}/élève_{number:06d}.jpg"


def plan_media(scale: float) -> Iterator[MediaFile]:
    """Every file of the school at that scale."""
    counts, dice = counts_at(scale), Dice("plan")
    for number in range(1, counts.receipts + 1):
        yield MediaFile(receipt_path(number), int(dice.triangular(40_000, 330_000, 60_000)))
    for number in range(1, counts.photos + 1):
        yield MediaFile(photo_path(number), int(dice.triangular(8_000, 60_000, 20_000)))
    for number in range(1, counts.scans + 1):
        folder = f"scans/archives/{2015 + number % 9}/dossier_{number % 37}/sous dossier/n° {number}"
        yield MediaFile(f"{folder}/pièce_jointe_{number}.png", dice.between(15_000, 90_000))
    for number in range(1, counts.documents + 1):
        kind = ("txt", "csv", "bmp", "csv")[number % 4]
        folder = f"documents/{LAST_NAMES[number % len(LAST_NAMES)]}/{SUBJECTS[number % len(SUBJECTS)]}"
        yield MediaFile(f"{folder}/Relevé de notes – {number} (été).{kind}", dice.between(10_000, 180_000))
    for number in range(1, counts.videos + 1):
        yield MediaFile(f"vidéos/fête_de_l'école_{number}.mp4", counts.video_bytes)


def write_media(folder: Path, scale: float) -> None:
    """Make the files of `plan_media` below `folder`, with modification times of their own."""
    for file in plan_media(scale):
        dice = Dice(file.path)
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENTS[file.kind](dice, file.size_bytes))
        changed_ns = (FIRST_SECOND + dice.below(SECONDS)) * 10**9 + dice.below(10**9)
        os.utime(path, ns=(changed_ns, changed_ns))


def write_small_files(folder: Path, count: int, size_bytes: int = 1024) -> None:
    """`count` files of one size, a thousand in a folder, for the growth by number."""
    dice = Dice(f"small/{count}")
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.dat"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(dice.randbytes(size_bytes))


def change_media(folder: Path) -> None:
    """A day of work: 1 % of the files are rewritten in part, and 0.1 % come new."""
    dice = Dice("change")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".mp4")
    for path in dice.sample(files, max(1, int(len(files) * CHANGED_SHARE))):
        middle = path.stat().st_size // 2
        with path.open("r+b") as file:
            file.seek(middle)
            file.write(dice.randbytes(min(CHANGED_BYTES, middle)))
    added = folder / ADDED_FOLDER
    added.mkdir(parents=True)
    for number in range(max(1, int(len(files) * ADDED_SHARE))):
        (added / f"reçu_{number}.pdf").write_bytes(_pdf(dice, ADDED_BYTES))


def copy_media(source: Path, target: Path) -> None:
    """As the application would find it: names, contents and times. `target` is made, and was not there."""
    shutil.copytree(source, target, symlinks=True)


def _pdf(dice: Dice, size: int) -> bytes:
    head = (
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
        b"2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n"
        b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>\nendobj\n"
    )
    stream = b"4 0 obj\n<</Length %d/Filter/FlateDecode>>\nstream\n" % size
    tail = b"\nendstream\nendobj\ntrailer\n<</Root 1 0 R/Size 5>>\nstartxref\n0\n%%EOF\n"
    return head + stream + dice.randbytes(size) + tail


def _jpeg(dice: Dice, size: int) -> bytes:
    head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x01\x00H\x00H\x00\x00\xff\xdb\x00C\x00" + bytes(range(64))
    scan = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00"
    return head + scan + dice.randbytes(size).replace(b"\xff", b"\xfe") + b"\xff\xd9"


def _png(dice: Dice, size: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 800, 600, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", dice.randbytes(size)) + chunk(b"IEND", b"")


def _text(dice: Dice, size: int) -> bytes:
    text = io.StringIO()
    while text.tell() < size:
        text.write(dice.sentence(12) + "\n")
    return text.getvalue().encode()


def _csv(dice: Dice, size: int) -> bytes:
    text = io.StringIO()
    text.write("matricule;nom;prénom;matière;note;date\n")
    number = 0
    while text.tell() < size:
        number += 1
        who = f"MAT{dice.below(10**8):08d};{dice.pick(LAST_NAMES)};{dice.pick(FIRST_NAMES)}"
        day = f"2023-{1 + number % 12:02d}-{1 + number % 28:02d}"
        text.write(f"{who};{dice.pick(SUBJECTS)};{dice.random() * 20:.2f};{day}\n")
    return text.getvalue().encode()


def _bitmap(dice: Dice, size: int) -> bytes:
    """Runs of one colour, as a scan that nobody packed."""
    return b"BM" + b"".join(bytes([dice.below(4)]) * dice.between(8, 120) for _ in range(size // 64))


def _video(dice: Dice, size: int) -> bytes:
    return (
        struct.pack(">I", 24)
        + b"ftypisom\0\0\2\0isomiso2"
        + struct.pack(">I", size + 8)
        + b"mdat"
        + dice.randbytes(size)
    )


CONTENTS: dict[str, Callable[[Dice, int], bytes]] = {
    "pdf": _pdf,
    "jpg": _jpeg,
    "png": _png,
    "txt": _text,
    "csv": _csv,
    "bmp": _bitmap,
    "mp4": _video,
}

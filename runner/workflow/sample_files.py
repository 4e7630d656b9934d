"""Real PDF and JPEG files, small ones, for the sample school. Every viewer opens them.

Sources: ISO 32000-1 (PDF 1.4 syntax, 7.5), ITU-T T.81 (baseline JPEG, annexes B and K).
"""

import struct
from collections.abc import Iterator, Sequence

_PAGE = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 298 210] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"


def receipt_pdf(lines: Sequence[str]) -> bytes:
    """One page with these lines of text. What Latin-1 cannot write becomes a question mark."""
    text = b"BT /F1 14 Tf 24 160 Td 22 TL\n" + b"".join(_shown(line) for line in lines) + b"ET\n"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _PAGE.encode("ascii"),
        b"<< /Length %d >>\nstream\n%sendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    document, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(document))
    return document + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


def square_jpeg(comment: str) -> bytes:
    """A grey square of 8 by 8 pixels whose shade follows the text, which stands in a comment segment."""
    words = comment.encode("utf-8")
    # One DC difference of category 6 (a sign and 5 bits), then the end of the block; padded with ones.
    magnitude = 32 + sum(words) % 32
    bits = "1110" + f"{magnitude:06b}" + "1010"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return (
        b"\xff\xd8"
        + _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
        + _segment(0xFE, words)
        + _segment(0xDB, b"\0" + b"\x10" * 64)
        + _segment(0xC0, b"\x08\0\x08\0\x08\1\1\x11\0")
        + _segment(0xC4, b"\0" + bytes(_DC_LENGTHS) + bytes(range(12)))
        + _segment(0xC4, b"\x10" + bytes(_AC_LENGTHS) + bytes(_AC_VALUES))
        + _segment(0xDA, b"\1\1\0\0\x3f\0")
        + scan
        + b"\xff\xd9"
    )


# Table K.3 of T.81: the lengths of the DC codes of categories 0 to 11; category 6 has the code 1110.
_DC_LENGTHS = (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
# The first codes of table K.5 are all that a flat square needs; 1010 ends a block.
_AC_LENGTHS = (0, 2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_AC_VALUES = (0x01, 0x02, 0x03, 0x00, 0x04, 0x11)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _shown(line: str) -> bytes:
    return b"(" + bytes(_escaped(line)) + b") Tj T*\n"


def _escaped(line: str) -> Iterator[int]:
    for byte in line.encode("cp1252", "replace"):
        if byte in b"()\\":
            yield ord("\\")
        yield byte

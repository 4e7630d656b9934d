"""Content on its way into the archive: what other tools read back, and what was counted."""

import gzip
import hashlib
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.archive.compress import worth_deflating
from runner.archive.packing import Fingerprint, deflated, gzipped, pack
from runner.lanes import Lanes
from runner.model.profile import Compression

DEFLATING = [each for each in Compression if each is not Compression.STORE]
NOISE = random.Random(7).randbytes(300_000)
CHUNKS = st.lists(st.binary(max_size=4000) | st.sampled_from([b"", b"ligne;\n" * 3000, NOISE[:70_000]]), max_size=8)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("compression", DEFLATING)
@given(chunks=CHUNKS)
def test_blocks_are_one_stream_for_everyone(chunks: list[bytes], compression: Compression, count: int) -> None:
    content = b"".join(chunks)
    with Lanes(count) as lanes:
        raw = b"".join(deflated(chunks, compression, lanes))
        packed = b"".join(gzipped(chunks, compression, lanes))
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(raw) == content
    assert inflater.eof
    assert inflater.unused_data == b""
    assert gzip.decompress(packed) == content


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("content", [b"", b"x", b"ligne;\n" * 9000, NOISE], ids=["empty", "tiny", "text", "noise"])
def test_what_is_packed_is_described(content: bytes, compression: Compression) -> None:
    packed = pack("a.csv", content, compression)
    assert (packed.size, packed.crc) == (len(content), zlib.crc32(content))
    assert packed.sha256 == hashlib.sha256(content).hexdigest()
    if packed.sha256_stored is None:
        assert packed.stored == content
    else:
        assert packed.sha256_stored == hashlib.sha256(packed.stored).hexdigest()
        assert zlib.decompress(packed.stored, -15) == content
        assert len(packed.stored) < len(content)


@pytest.mark.parametrize("count", [1, 2])
def test_a_fingerprint_is_of_all_that_passed(count: int) -> None:
    with Lanes(count) as lanes:
        fingerprint = Fingerprint(lanes)
        for start in range(0, len(NOISE), 7_001):
            fingerprint.update(NOISE[start : start + 7_001])
        assert (fingerprint.size, fingerprint.crc()) == (len(NOISE), zlib.crc32(NOISE))
        assert fingerprint.sha256() == hashlib.sha256(NOISE).hexdigest()


@pytest.mark.parametrize("name", ["a.JPG", "dir/b.zip", "c.mp4"])
def test_types_that_are_compressed_are_stored(name: str) -> None:
    assert not worth_deflating(name, b"text " * 9000, Compression.AUTO)
    assert worth_deflating(name, b"text " * 9000, Compression.SMALL)


def test_a_trial_looks_behind_the_beginning() -> None:
    """A PDF begins with text, and what follows is compressed already."""
    pdf = b"%PDF-1.4 catalogue pages " * 400 + NOISE
    assert not worth_deflating("a.pdf", pdf, Compression.AUTO)
    assert worth_deflating("zip", b"text " * 9000, Compression.AUTO)  # a name, and no suffix

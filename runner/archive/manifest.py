"""The manifest's bytes: encoding in one canonical form, strict decoding."""

import msgspec

from runner.errors import ArchiveDamaged, Refused
from runner.messages import msg
from runner.model.manifest import FORMAT_VERSION, Manifest

MAX_MANIFEST_BYTES = 256 << 20


class _Version(msgspec.Struct, frozen=True):
    format_version: int


def encode_manifest(manifest: Manifest) -> bytes:
    """Indented JSON in UTF-8, keys in the order of the classes, with a final line break."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(content: bytes, where: str) -> Manifest:
    """Raises ArchiveDamaged when it is not a manifest in canonical form, Refused when a newer runner made it."""
    try:
        version = msgspec.json.decode(content, type=_Version).format_version
        if version > FORMAT_VERSION:
            raise Refused(
                msg(
                    "made by a newer runner: archive format {version}, known here: {known}",
                    version=version,
                    known=FORMAT_VERSION,
                ),
                where=where,
                hint=msg("upgrade runner on this machine, then try again"),
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ArchiveDamaged(msg("the manifest cannot be read: {reason}", reason=str(error)), where=where) from None
    if encode_manifest(manifest) != content:
        raise ArchiveDamaged(msg("the manifest is not in the form that runner writes"), where=where)
    return manifest

"""photonet's own note in an XMP packet: which network, with which weights, made a picture."""

import mmap
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from xml.sax.saxutils import quoteattr

NAMESPACE = "urn:photonet:1#"
MERELY_TOLD = {"Software", "Task", "Network", "Weights", "Helper"}  # fields of a note that nothing depends on
TOOLKIT = b'x:xmptk="photonet"'  # marks a packet that holds nothing else
MAX_SEGMENT_BYTES = 65533 - 29  # of a JPEG: its length is 16 bits; the longest prefix (of XMP) takes 29
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NOTE = re.compile(rb'\s*<rdf:Description rdf:about="" xmlns:photonet="urn:photonet:1#"[^<>]*/>')
_FIELD = re.compile(r'photonet:(\w+)=("[^"]*"|\'[^\']*\')')
_END = re.compile(rb"\s*</rdf:RDF\s*>")


def with_note(packet: bytes | None, fields: Mapping[str, str]) -> bytes:
    """The packet with a note in place of an earlier one; every other byte stays. A new packet where there is none.

    A packet whose end cannot be found (UTF-16, damaged), or that would outgrow a JPEG's segment, comes back as it is.

    Args:
        fields: name → text; names are made of letters and digits.
    """
    attributes = "".join(f" photonet:{name}={quoteattr(text)}" for name, text in fields.items())
    note = f'\n  <rdf:Description rdf:about="" xmlns:photonet="{NAMESPACE}"{attributes}/>'.encode()
    if not packet:
        head = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" ' + TOOLKIT + f'>\n <rdf:RDF xmlns:rdf="{_RDF}">'.encode()
        return head + note + b"\n </rdf:RDF>\n</x:xmpmeta>"
    without = _NOTE.sub(b"", packet)
    ends = list(_END.finditer(without))
    if not ends:
        return packet
    at = ends[-1].start()
    noted = without[:at] + note + without[at:]
    return packet if len(noted) > MAX_SEGMENT_BYTES >= len(packet) else noted


def read_note(packet: bytes | None) -> dict[str, str]:
    """The fields of photonet's note; none where there is no note."""
    found = _NOTE.search(packet or b"")
    if found is None:
        return {}
    return {name: unescape(text[1:-1]) for name, text in _FIELD.findall(found[0].decode("utf-8", "replace"))}


def carries_note(path: Path) -> bool:
    """Whether a file holds photonet's note; no format compresses XMP."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(NAMESPACE.encode()) >= 0
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def is_needed(packet: bytes | None) -> bool:
    """Whether the packet's note holds what photonet needs for turning the picture back."""
    return not read_note(packet).keys() <= MERELY_TOLD


def is_own(packet: bytes | None) -> bool:
    """Whether the packet holds nothing but photonet's note."""
    return packet is not None and TOOLKIT in packet

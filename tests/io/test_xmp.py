"""photonet's note in XMP packets."""

from dataclasses import replace

import numpy as np
import pytest

from photonet.io import carries_note, read_note, with_note, write
from photonet.io.metadata.xmp import MAX_SEGMENT_BYTES, is_own
from photonet.photo import Metadata, Photo

FOREIGN = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"/></rdf:RDF></x:xmpmeta>'
    b"    <?xpacket end='w'?>"
)
FIELDS = {"Task": "denoise", "Network": "unet", "Weights": "0123abcd"}


@pytest.mark.parametrize("packet", [None, b"", FOREIGN])
def test_round_trip(packet):
    assert read_note(packet) == {}
    assert read_note(with_note(packet, FIELDS)) == FIELDS


def test_value_every_other_byte_stays():
    noted = with_note(FOREIGN, FIELDS)
    at = noted.index(b"\n  <rdf:Description")
    end = noted.index(b"/>", at) + 2
    assert noted[:at] + noted[end:] == FOREIGN


def test_a_new_note_replaces_the_old_one():
    twice = with_note(with_note(FOREIGN, FIELDS), {"Task": "deblur"})
    assert read_note(twice) == {"Task": "deblur"}
    assert twice.count(b"xmlns:photonet") == 1


def test_what_the_packet_says_is_kept_by_a_parser():
    from xml.etree import ElementTree

    text = "a \"quoted\" <tag> & 'more'"
    root = ElementTree.fromstring(with_note(None, {"Note": text}))
    values = [value for element in root.iter() for value in element.attrib.values()]
    assert text in values
    assert read_note(with_note(None, {"Note": text})) == {"Note": text}


@pytest.mark.parametrize("packet", [FOREIGN.decode("latin-1").encode("utf-16"), b"no packet", FOREIGN[:150]])
def test_packets_without_an_end_stay_as_they_are(packet):
    assert with_note(packet, FIELDS) == packet


def test_own_packets():
    assert is_own(with_note(None, FIELDS))
    assert not is_own(with_note(FOREIGN, FIELDS))
    assert not is_own(None)


def test_a_packet_that_just_fits_a_jpeg_stays(tmp_path):
    large = FOREIGN + b" " * (MAX_SEGMENT_BYTES - len(FOREIGN))
    assert with_note(large, FIELDS) == large
    assert read_note(with_note(large[: -len(with_note(FOREIGN, FIELDS))], FIELDS)) == FIELDS


def test_files_that_carry_the_note(tmp_path):
    assert not carries_note(tmp_path / "gone.png")
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        photo = Photo(np.zeros((8, 8, 3), np.uint8))
        write(photo, tmp_path / name)
        assert not carries_note(tmp_path / name)
        write(replace(photo, meta=Metadata(xmp=with_note(None, FIELDS))), tmp_path / name, overwrite=True)
        assert carries_note(tmp_path / name)

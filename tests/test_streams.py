import io
import os

import pytest

from unbraid.streams import unbroken


def test_what_an_encoding_lacks_is_replaced():
    raw = io.BytesIO()
    stream = unbroken(io.TextIOWrapper(raw, encoding="latin-1"))
    print("ä → b", file=stream, flush=True)
    assert raw.getvalue().decode("latin-1") == "ä ? b" + os.linesep
    assert stream.encoding == "latin-1" and not stream.isatty()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
def test_output_is_dropped_when_nobody_reads_it():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        stream = unbroken(pipe)
        print("read", file=stream, flush=True)
        assert os.read(reader, 100) == b"read\n"
        os.close(reader)
        for _ in range(3):
            print("dropped", file=stream, flush=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_still():
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "w", encoding="utf-8") as full:
        print("lost", file=unbroken(full), flush=True)

"""Every refusal of the system has a remedy of its own, and no message names an address in memory."""

import errno
import os
from pathlib import Path

import pytest

from micebench.errors import MicebenchError, RunError, described, one_line, remedy
from micebench.store.journal import Journal, write_error
from micebench.store.manifest import write_atomically

KNOWN = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only",
    errno.EACCES: "permissions",
    errno.EPERM: "owner",
    errno.ENAMETOOLONG: "shorter path",
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "open files",
    errno.EIO: "device",
    errno.EFBIG: "too large",
    errno.ENOTDIR: "is a file",
    errno.EISDIR: "folder",
    errno.ENOENT: "gone",
    errno.ELOOP: "circle",
    errno.ESTALE: "mount it again",
    errno.ENOMEM: "memory",
}


@pytest.mark.parametrize("number", KNOWN, ids=errno.errorcode.get)
def test_each_refusal_has_its_own_remedy(number: int) -> None:
    said = str(write_error(Path("x.jsonl"), OSError(number, os.strerror(number))))
    assert said.startswith(f"cannot write x.jsonl: {os.strerror(number)}; ")
    assert KNOWN[number] in said
    assert ("free some space" in said) == (number == errno.ENOSPC)
    assert "run the same command again" in said


def test_any_other_refusal_names_path_and_device() -> None:
    assert remedy(OSError(9999, "odd")) == remedy(OSError("odd")) == "check the path and its device"


def test_a_name_too_long_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="give a shorter path"):
        Journal(tmp_path / ("x" * 300))
    with pytest.raises(RunError, match="give a shorter path"):
        write_atomically(tmp_path / ("x" * 300), b"")


def test_no_message_names_an_address() -> None:
    thing = object()
    assert "0x" in repr(thing)
    for said in (str(MicebenchError(f"no {thing!r}")), one_line(thing), described(ValueError(thing))):
        assert "0x" not in said
        assert "<object object>" in said
    bound = str(MicebenchError(repr(thing.__str__)))
    assert "0x" not in bound
    assert str(MicebenchError("colour at 0xffaa00")) == "colour at 0xffaa00", "not of an object"

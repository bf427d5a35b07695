"""Bundles as somebody would write them who knows the format and wants to be believed."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from micebench.submission.sampling import commitment, drawn
from micebench.submission.submit import _EPOCH, _PLAIN_FILE

TEXTS = ("submission.json", "sessions.jsonl", "edits.jsonl", "verdicts.jsonl", "summary.json")
Line = dict[str, Any]


class Forgery:
    """The members of a bundle, to be changed and packed again with hashes (and sample) that fit."""

    def __init__(self, bundle: Path) -> None:
        with zipfile.ZipFile(bundle) as zipped:
            self.members = {name: zipped.read(name) for name in zipped.namelist()}

    @property
    def said(self) -> Line:
        return json.loads(self.members["submission.json"])

    def say(self, change: Callable[[Line], object]) -> "Forgery":
        """Change submission.json."""
        said = self.said
        change(said)
        self.members["submission.json"] = json.dumps(said).encode()
        return self

    def lines(self, name: str) -> list[Line]:
        return [json.loads(line) for line in self.members[name].splitlines()]

    def write(self, name: str, lines: list[Line]) -> "Forgery":
        self.members[name] = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        return self

    def change(self, name: str, change: Callable[[Line], object]) -> "Forgery":
        """Change every line of a member."""
        lines = self.lines(name)
        for line in lines:
            change(line)
        return self.write(name, lines)

    def put(self, png: bytes) -> str:
        """One more image; its sha256."""
        digest = hashlib.sha256(png).hexdigest()
        self.members[f"images/{digest}.png"] = png
        return digest

    def trim(self) -> "Forgery":
        """Leave out the images that belong to no session, and those of sessions that are not kept."""
        kept = set(self.said["images"]["sessions"])
        used = {line["image"] for line in self.lines("sessions.jsonl") if line["id"] in kept}
        used |= {line["image"] for line in self.lines("edits.jsonl") if line["session"] in kept}
        self.members = {
            name: data for name, data in self.members.items() if name in TEXTS or name[len("images/") : -4] in used
        }
        return self

    def fit(self) -> "Forgery":
        """Make the table of files, and the sample, fit the content."""
        said = self.said
        if said["images"]["kept"] == "sample":
            ids = [line["id"] for line in self.lines("sessions.jsonl")]
            seed = commitment(self.members["edits.jsonl"], self.members["verdicts.jsonl"])
            said["images"] |= {"seed": seed, "sessions": drawn(ids, len(said["images"]["sessions"]), seed)}
        said["files"] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in self.members.items()
            if name != "submission.json"
        }
        self.members["submission.json"] = json.dumps(said).encode()
        return self

    def pack(self, path: Path) -> Path:
        """Write the zip, in the form in which bundles are written."""
        with zipfile.ZipFile(path, "w") as zipped:
            for name, data in self.members.items():
                zipped.writestr(member(name), data)
        return path


def member(name: str, **changes: object) -> zipfile.ZipInfo:
    """The entry of a member as `micebench submit` makes it, but for `changes`."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr, info.compress_type = 3, _PLAIN_FILE, zipfile.ZIP_DEFLATED
    for field, value in changes.items():
        setattr(info, field, value)
    return info

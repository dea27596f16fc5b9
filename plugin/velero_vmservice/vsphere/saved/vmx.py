"""A VMX file: the dictionary in which vSphere keeps a VM's configuration, its ExtraConfig included.

The grammar is VMware's own (open-vm-tools, lib/dict/dictll.c): a line is `name = "value"`, `name = value` or a comment
that begins with `#`; `|XX` in a value stands for the byte XX; `.encoding` names the encoding of the values. vSphere
compares names in any case. A file comes out of a backup and may be anything, so nothing here raises.
"""

from __future__ import annotations

import codecs
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a file: the two long values of a record in both spellings, each at most `record.MAX_PACKED`, and some more."""
MAX_LINES: Final = 100_000
"""A VM with all of its devices has some 1,000."""
UTF_8: Final = "UTF-8"

_BOM: Final = codecs.BOM_UTF8
_LINE: Final = re.compile(
    rb"""[\t ]*+
         (?: (?P<name>[^\0\t #=]++) [\t ]*+ = [\t ]*+
             (?: "(?P<quoted>[^"\0]*+)" | (?P<bare>(?!")[^\0\t #]*+) )
             [\t ]*+
         )?
         (?: \#.* )?""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(rb"\|[0-9A-Fa-f]{2}")
_ESCAPED: Final = {b"|%02x" % value: bytes([value]) for value in range(256)}
_ENCODING: Final = ".encoding"
_MARKS: Final = ("config.version", "virtualhw.version", "displayname", "guestos", "memsize")
"""Names of which a VMX has at least one; VMware's other dictionaries, such as a VMSD, have none."""
_ENCRYPTED: Final = ("encryption.keysafe", "encryption.data")
"""With both, the configuration is in the latter, and all else in the file is what is needed to open it."""
_TEXT_ENCODINGS: Final = re.compile(
    r"utf-8|ascii|iso8859-\d{1,2}|cp\d{3,4}|gb2312|gbk|gb18030|big5(?:hkscs)?|shift_jis|euc_(?:jp|kr)|koi8-[ru]"
)
"""Python's names of the encodings that VMware's products write; it knows others that are none of text."""
_DISK_FILE: Final = re.compile(r"((?:scsi|sata|ide|nvme)\d{1,2}:\d{1,3})\.filename")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualDisk:
    """A virtual disk that the VM has."""

    node: str
    """Where it is attached, e.g. `scsi0:1`."""
    file: str
    mode: str = ""
    """E.g. `independent-persistent`; '' where the file does not say."""
    sharing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vmx:
    """What a file says; the entries by name in lower case."""

    entries: Mapping[str, str]
    repeated: Mapping[str, bool]
    """Names that are there more than once, and whether with different values; the first counts."""
    malformed: tuple[int, ...] = ()
    """Numbers of the lines that are neither entry nor comment; the first is 1."""
    undecodable: tuple[str, ...] = ()
    """Names whose values are not text in the file's encoding."""
    cut_off: bool = False
    """Whether it ends in the middle of a line."""
    encoding: str = UTF_8
    """As the file names it."""
    known_encoding: bool = True

    @property
    def recognised(self) -> bool:
        """Whether it says anything that only a VMX says."""
        return self.encrypted or any(name in self.entries for name in _MARKS)

    @property
    def encrypted(self) -> bool:
        """Whether the configuration cannot be read without a key."""
        return all(name in self.entries for name in _ENCRYPTED)

    def get(self, name: str) -> str:
        """Return a value by its name in any case, '' if there is none."""
        return self.entries.get(name.lower(), "")

    @property
    def disks(self) -> tuple[VirtualDisk, ...]:
        """The virtual disks, by node."""
        return tuple(sorted(self._disks(), key=lambda disk: [int(digits) for digits in re.findall(r"\d+", disk.node)]))

    def _disks(self) -> Iterator[VirtualDisk]:
        for name, file in self.entries.items():
            if not (match := _DISK_FILE.fullmatch(name)) or not file:
                continue
            node = match[1]
            device = self.get(f"{node}.deviceType").lower()
            attached = self.get(f"{node}.present").lower() != "false"
            if attached and "cdrom" not in device and ("disk" in device or file.lower().endswith(".vmdk")):
                yield VirtualDisk(
                    node=node, file=file, mode=self.get(f"{node}.mode"), sharing=self.get(f"{node}.sharing")
                )

    @property
    def bios_uuid(self) -> str:
        """The BIOS UUID in Kubernetes' spelling, '' if there is none."""
        return _uuid(self.get("uuid.bios"))

    @property
    def instance_uuid(self) -> str:
        """The UUID by which vCenter knows the VM; likewise."""
        return _uuid(self.get("vc.uuid"))


def read(content: bytes) -> Vmx:
    """Read a file of at most `MAX_BYTES` and `MAX_LINES`, which is for the caller to see to."""
    lines = content.removeprefix(_BOM).split(b"\n")
    raw: dict[bytes, bytes] = {}
    repeated: dict[bytes, bool] = {}
    malformed = []
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.removesuffix(b"\r"))
        if match is None:
            malformed.append(number)
        elif match["name"] is not None:
            name, value = match["name"].lower(), match["bare"] if match["quoted"] is None else match["quoted"]
            if name in raw:
                repeated[name] = repeated.get(name, False) or raw[name] != value
            raw.setdefault(name, value)
    cut_off = len(lines) in malformed
    named, codec = _encoding(raw.get(_ENCODING.encode(), b""))
    entries = {_name(name): _text(value, codec) for name, value in raw.items()}
    return Vmx(
        entries={name: text for name, (text, _) in entries.items()},
        repeated={_name(name): differs for name, differs in repeated.items()},
        malformed=tuple(malformed[:-1] if cut_off else malformed),
        undecodable=tuple(name for name, (_, decoded) in entries.items() if not decoded),
        cut_off=cut_off,
        encoding=named,
        known_encoding=bool(codec),
    )


def _name(name: bytes) -> str:
    return name.decode("utf-8", errors="replace").lower()


def _encoding(value: bytes) -> tuple[str, str]:
    """Return an encoding as it is named, and Python's name of it; '' for one that is not known."""
    named = value.decode("ascii", errors="replace").strip()
    if not named:
        return UTF_8, "utf-8"
    try:
        codec = codecs.lookup(named).name
    except (LookupError, ValueError):
        return named, ""
    return named, codec if _TEXT_ENCODINGS.fullmatch(codec) else ""


def _text(value: bytes, codec: str) -> tuple[str, bool]:
    """Undo the escapes of a value, and decode it; say whether that succeeded."""
    content = _ESCAPE.sub(lambda escape: _ESCAPED[escape[0].lower()], value)
    try:
        return content.decode(codec or "utf-8"), True
    except UnicodeDecodeError:
        return content.decode(codec or "utf-8", errors="replace"), False


def _uuid(value: str) -> str:
    try:
        return str(uuid.UUID(hex="".join(re.findall(r"[0-9A-Fa-f]", value))))
    except ValueError:
        return ""

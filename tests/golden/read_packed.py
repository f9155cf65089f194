#!/usr/bin/env python3
"""Reads a packed file by docs/format-codecs.md alone: Python's standard library, the zstd program and
the xxHash library, nothing of ebb.

    read_packed.py FILE [--tensors]

checks every hash, the records against the index and the index against the rules, and prints a line
for each file: "name size sha256 parts". Files of stored and zstd parts and of tensors
(packed_tensors.py: all methods but scale) are unpacked, over their bases where they have any, and
their SHA-256 is checked; of the others it says that they are not. --tensors: a file that is not
unpacked is an error, and the last line tells how often each method of tensors was met."""

import ctypes
import ctypes.util
import hashlib
import os
import struct
import subprocess
import sys

import packed_tensors

MAGIC = b"\x89EBBP\r\n\x1a"
TAGS = {1: "name", 2: "kind", 3: "mode", 4: "mtime", 5: "size", 6: "sha256", 7: "frames",
        8: "source_size", 9: "source_sha256", 10: "error", 11: "unit", 12: "base_file",
        13: "base_name", 14: "base_size", 15: "base_sha256", 16: "chain"}
NUMBERS = {3, 4, 5, 7, 8, 14, 16}


def load_xxh3():
    library = ctypes.util.find_library("xxhash")
    if library is None:
        print("SKIP: no xxHash library")
        sys.exit(77)
    function = ctypes.CDLL(library).XXH3_64bits
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lambda data: function(data, len(data))


H = load_xxh3()


def check(condition, what):
    if not condition:
        sys.exit(f"damaged: {what}")


def entry(data):
    fields, at = {}, 0
    while at < len(data):
        tag, length = struct.unpack_from("<HI", data, at)
        value = data[at + 6 : at + 6 + length]
        check(len(value) == length, "an entry's fields")
        check(tag in TAGS or not tag & 0x8000, "an entry's fields need a later reader")
        if tag in NUMBERS:
            value = struct.unpack("<Q", value)[0]
        elif tag == 10:
            value = struct.unpack("<d", value)[0]
        elif tag in (1, 2, 11, 12, 13):
            value = value.decode()
        fields[TAGS.get(tag, tag)] = value
        at += 6 + length
    return fields


def records(data):
    at = 32
    while True:
        head = data[at : at + 64]
        check(len(head) == 64 and H(head[:56]) == struct.unpack_from("<Q", head, 56)[0],
              f"the record at {at}")
        kind, number, codec, frames, raw, length, offset, digest, zero = struct.unpack_from(
            "<4sIIIQQQQQ", head)
        payload = data[at + 64 : at + 64 + length]
        check(len(payload) == length and H(payload) == digest and zero == 0, f"the payload at {at}")
        yield at, kind, number, codec, frames, raw, offset, payload, digest
        at += 64 + length
        if kind == b"INDX":
            return


def walk(data):
    """The files by their records, the index's payload, where it begins."""
    files = []
    for at, kind, number, codec, frames, raw, offset, payload, digest in records(data):
        if kind == b"FILE":
            check(number == len(files), "files out of order")
            files.append({"entry": entry(payload), "parts": [], "done": False})
        elif kind == b"PART":
            f = files[number]
            check(number == len(files) - 1 and not f["done"], "a part out of place")
            check(offset == sum(p["raw"] for p in f["parts"]), "parts out of order")
            f["parts"].append({"at": at, "raw": raw, "codec": codec, "frames": frames,
                               "payload": payload, "hash": digest})
        elif kind == b"DONE":
            files[number]["entry"] |= entry(payload)
            files[number]["done"] = True
        elif kind == b"INDX":
            return files, payload, at
        else:
            sys.exit(f"a record {kind} needs a later reader")
    return None


def index(payload):
    count = struct.unpack_from("<Q", payload)[0]
    at, files = 8, []
    for _ in range(count):
        length = struct.unpack_from("<I", payload, at)[0]
        fields = entry(payload[at + 4 : at + 4 + length])
        at += 4 + length
        parts = struct.unpack_from("<Q", payload, at)[0]
        at += 8
        rows = [struct.unpack_from("<QQQQII", payload, at + 40 * i) for i in range(parts)]
        at += 40 * parts
        files.append((fields, rows))
    check(at == len(payload), "the index's end")
    return files


def unpack(parts, base):
    """None: of parts that this reader does not know."""
    whole = b""
    for p in parts:
        raw = p["payload"]
        if p["codec"] > 2:
            return None
        if p["codec"] == 2:
            try:
                raw = packed_tensors.read_part(raw, base, H, METHODS)
            except packed_tensors.Unreadable:
                return None
        if p["codec"] == 1:
            raw = subprocess.run(["zstd", "-dcq"], input=raw, stdout=subprocess.PIPE,
                                 check=True).stdout
        check(len(raw) == p["raw"], "a part's length")
        whole += raw
    return whole


def base_of(fields, path, unpacked):
    """The bytes that a file is a change to; None: it is none, or they were not unpacked."""
    if "base_size" not in fields:
        return None
    if "base_file" in fields:
        path = os.path.join(os.path.dirname(path), fields["base_file"])
        if "base_name" not in fields:
            with open(path, "rb") as f:
                return f.read()
        unpacked = read(path, quiet=True)
    base = unpacked.get(fields["base_name"])
    check(base is None or hashlib.sha256(base).digest() == fields["base_sha256"], "the base")
    return base


def read(path, quiet=False):
    """Each file's bytes by its name, None where it is not unpacked."""
    with open(path, "rb") as f:
        data = f.read()
    check(data[:8] == MAGIC and H(data[:24]) == struct.unpack_from("<Q", data, 24)[0], "the header")
    check(struct.unpack_from("<IIQ", data, 8) == (1, 0, 0), "format or features")
    files, said, at = walk(data)
    offset, length, digest = struct.unpack_from("<QQQ", data, len(data) - 32)
    check(data[-8:] == b"EBBPEND1" and H(data[-32:-16] + data[-8:]) == digest, "the tail")
    check(offset == at and at + length + 32 == len(data), "where the tail points")
    unpacked = {}
    for (fields, rows), f in zip(index(said), files, strict=True):
        check(fields == f["entry"] and f["done"], "the index's entries")
        check(rows == [(p["at"], p["raw"], len(p["payload"]), p["hash"], p["codec"], p["frames"])
                       for p in f["parts"]], "the index's parts")
        check(sum(p["raw"] for p in f["parts"]) == fields["size"], "a file's size")
        whole = unpack(f["parts"], base_of(fields, path, unpacked))
        name, digest = fields["name"], fields["sha256"].hex()
        unpacked[name] = whole
        if whole is None:
            check("--tensors" not in sys.argv, f"{name}: its codecs are not known here")
            print(f"{name}: not unpacked: codecs of states or frames", file=sys.stderr)
        else:
            check(hashlib.sha256(whole).hexdigest() == digest, f"{name}: SHA-256")
        if not quiet:
            print(name, fields["size"], digest, len(rows))
    return unpacked


METHODS = {}
read(sys.argv[1])
if "--tensors" in sys.argv:
    print("methods", " ".join(f"{method}:{METHODS[method]}" for method in sorted(METHODS)))

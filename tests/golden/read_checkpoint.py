#!/usr/bin/env python3
"""Reads a checkpoint by docs/format-checkpoint.md alone: Python's standard library and the zstd
program, nothing of ebb, and no protobuf library. Of chunks that are parts (codec 2)
it unpacks those that are stored or zstd; a file with others is listed by its manifest's hash, and
that its content was not checked is said.

    read_checkpoint.py STORE_DIRECTORY ROOT [--previous]

prints a line for each file, "path mode mtime size sha256" or "path -> target", in byte order."""

import hashlib
import os
import struct
import subprocess
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def message(data):
    """{field number: [values]} of a protobuf message: integers, or bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            sys.exit(f"wire type {wire}")
        fields.setdefault(number, []).append(value)
    return fields


def one(fields, number, default=0):
    return fields.get(number, [default])[-1]


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def check(condition, what):
    if not condition:
        sys.exit(f"damaged: {what}")


def zstd(raw):
    return subprocess.run(["zstd", "-dcq"], input=raw, stdout=subprocess.PIPE, check=True).stdout


class Unreadable(Exception):
    """A chunk by a codec that takes more than this program."""


def part(stored):
    codec = struct.unpack_from("<I", stored)[0]
    if codec > 1:
        name = {2: "arrays", 3: "frames"}.get(codec, codec)
        raise Unreadable(f"a part of codec {name} (docs/format-codecs.md)")
    return zstd(stored[4:]) if codec == 1 else stored[4:]


class Reader:
    def __init__(self, store, root):
        self.folder = os.path.join(store, root)
        self.packs = {}

    def get(self, *path):
        with open(os.path.join(self.folder, *path), "rb") as f:
            return f.read()

    def head(self):
        data = self.get("head")
        check(data[:8] == b"EBBHEAD1", "the head's magic")
        check(hashlib.sha256(data[:-32]).digest() == data[-32:], "the head's hash")
        head = message(data[8:-32])
        check(one(head, 1) == 1 and one(head, 2) == 0, "format or features")
        return head

    def manifest(self, head, previous):
        sequence, epoch, sha = (11, 12, 13) if previous else (4, 14, 5)
        name = f"{one(head, epoch):08d}-{one(head, sequence):010d}-{one(head, sha).hex()}"
        data = self.get("manifests", name)
        check(hashlib.sha256(data).digest() == one(head, sha), "the manifest's hash")
        manifest = message(data)
        check(one(manifest, 1) == 1 and one(manifest, 2) & ~7 == 0, "format or features")
        return manifest

    def pack(self, pack):
        sha = one(pack, 1)
        if sha not in self.packs:
            data = self.get("packs", sha.hex())
            check(hashlib.sha256(data).digest() == sha, "a pack's hash")
            check(data[:8] == b"EBBPACK1" and len(data) == one(pack, 2), "a pack's header")
            self.packs[sha] = data
        return self.packs[sha]

    def content(self, manifest, entry):
        whole = b""
        for chunk in map(message, entry.get(6, [])):
            pack = self.pack(message(manifest[8][one(chunk, 1)]))
            raw = pack[one(chunk, 2) : one(chunk, 2) + one(chunk, 3)]
            if one(chunk, 6) == 1:
                raw = zstd(raw)
            elif one(chunk, 6) == 2:
                raw = part(raw)
            check(len(raw) == one(chunk, 4), "a chunk's size")
            check(hashlib.sha256(raw).digest() == one(chunk, 5), "a chunk's hash")
            whole += raw
        check(len(whole) == one(entry, 4), "a file's size")
        check(hashlib.sha256(whole).digest() == one(entry, 5), "a file's hash")
        return whole


def main():
    reader = Reader(sys.argv[1], sys.argv[2])
    manifest = reader.manifest(reader.head(), "--previous" in sys.argv[3:])
    lines = []
    for entry in map(message, manifest.get(7, [])):
        path = one(entry, 1).decode()
        if one(entry, 2) == 4:
            lines.append(f"{path} -> {one(entry, 7).decode()}")
            continue
        size, digest = one(entry, 4), one(entry, 5).hex()
        try:
            whole = reader.content(manifest, entry)
            size, digest = len(whole), hashlib.sha256(whole).hexdigest()
        except Unreadable as why:
            print(f"{path}: not checked: {why}", file=sys.stderr)
        mtime = signed(one(entry, 8))
        lines.append(
            f"{path} {0o100000 | one(entry, 3):o} {mtime // 10**9}.{mtime % 10**9:09d}"
            f" {size} {digest}"
        )
    print("\n".join(sorted(lines, key=lambda line: line.split(" ")[0].encode())))


main()

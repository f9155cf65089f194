"""Tensor blobs and the parts that are made of them, read by docs/format-codecs.md alone: the methods
same, planes, delta and step, the last with its rANS. Slow and plain; single precision by way of double,
which rounds sums and products of two floats as the machine's own does."""

import struct
import subprocess

# Element types by base/dtype.h: bytes, bits of fraction (0: a whole number), signed.
TYPES = {1: (8, 52, True), 2: (4, 23, True), 3: (2, 10, True), 4: (2, 7, True), 5: (1, 3, True),
         6: (1, 2, True), 7: (1, 0, True), 8: (1, 0, False), 9: (2, 0, True), 10: (2, 0, False),
         11: (4, 0, True), 12: (4, 0, False), 13: (8, 0, True), 14: (8, 0, False), 15: (1, 0, False)}
SAME, PLANES, DELTA, SCALE, STEP = range(5)
F32, F16 = 2, 3


class Unreadable(Exception):
    """What this reader does not know: other methods."""


class Bytes:
    """What is left of a blob."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("a blob ends too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        return back(self.varint())

    def block(self):
        """An entropy block."""
        method, raw, packed = self.byte(), self.varint(), self.varint()
        data = self.take(packed)
        if method == 1:
            data = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE,
                                  check=True).stdout
        elif method != 0:
            raise ValueError("an entropy block's method")
        if len(data) != raw:
            raise ValueError("an entropy block's length")
        return data


class Bits:
    """A string of bits, the first in the lowest bit of the first byte."""

    def __init__(self, data):
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, n):
        if n > self.left:
            raise ValueError("bits are missing")
        low = self.value & ((1 << n) - 1)
        self.value >>= n
        self.left -= n
        return low


def back(x):
    """Zigzag undone."""
    return x >> 1 ^ -(x & 1)


def words(data, size):
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def ordered(word, width):
    """As whole numbers that grow with the float."""
    magnitude = word & ((1 << (width - 1)) - 1)
    return magnitude if word >> (width - 1) == 0 else ~magnitude


def unordered(value, width):
    """Modulo the width."""
    value &= (1 << width) - 1
    if value >> (width - 1) == 0:
        return value
    return (~value & ((1 << (width - 1)) - 1)) | 1 << (width - 1)


# ---- planes ----

def read_planes(b, elements, dtype):
    size, fraction, signed = TYPES[dtype]
    width, out = 8 * size, []
    for first in range(0, elements, 131072):
        n = min(131072, elements - first)
        planes = [b.block() for _ in range(size)]
        for plane in planes:
            if len(plane) != n:
                raise ValueError("a plane's length")
        for column in zip(*planes, strict=True):
            word = int.from_bytes(bytes(column), "little")
            if fraction > 0 and size > 1:
                word = word >> 1 | (word & 1) << (width - 1)
            elif fraction == 0 and signed:
                word = back(word) & ((1 << width) - 1)
            out.append(word)
    return out


# ---- delta ----

def read_delta(b, elements, dtype, base):
    size, fraction, _ = TYPES[dtype]
    width, contexts, top, out = 8 * size, b.byte(), b.varint(), []
    for first in range(0, elements, 131072):
        chunk = base[first : first + 131072]
        where = [0] * len(chunk)
        if fraction > 0:
            where = [min(max(top - ((w & ((1 << (width - 1)) - 1)) >> fraction), 0), contexts - 1)
                     for w in chunk]
        tokens = {c: iter(b.block()) for c in sorted(set(where))}
        raw = Bits(b.block())
        for word, context in zip(chunk, where, strict=True):
            token = next(tokens[context])
            r = 0 if token < 8 else token // 4 - 1
            distance = (token - 4 * r << r) + raw.take(r)
            if distance != 0 and raw.take(1) == 1:
                distance = -distance
            if fraction > 0:
                out.append(unordered(ordered(word, width) + distance, width))
            else:
                out.append((word + distance) & ((1 << width) - 1))
    return out


# ---- step ----

def single(x):
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def bits_of(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def float_of(word, dtype):
    if dtype == F32:
        return struct.unpack("<f", struct.pack("<I", word))[0]
    if dtype == F16:
        bits = (word & 0x8000) << 16 | (word & 0x7FFF) << 13
        return single(struct.unpack("<f", struct.pack("<I", bits))[0] * 2.0 ** 112)
    return struct.unpack("<f", struct.pack("<I", word << 16))[0]


def to_even(bits, shift):
    return (bits + (1 << (shift - 1)) - 1 + (bits >> shift & 1)) >> shift


def word_of(x, dtype):
    if dtype == F32:
        return bits_of(x)
    if dtype == F16:
        sign = bits_of(x) >> 16 & 0x8000
        return sign | min(to_even(bits_of(single(abs(x) * 2.0 ** -112)), 13), 0x7C00)
    return to_even(bits_of(x), 16)


class Model:
    def __init__(self, b, rows, columns):
        rank, self.exponent = b.byte(), b.signed()
        self.keep = struct.unpack("<f", b.take(4))[0]
        self.origin = b.signed()
        u = [back(x) for x in b.block()] if rank > 0 else []
        v = [back(x) for x in b.block()] if rank > 0 else []
        self.row, self.column = b.block(), b.block()
        if rank > 16 or (len(u), len(v)) != (rank * rows, rank * columns) or (
                len(self.row), len(self.column)) != (rows, columns):
            raise ValueError("a model's lengths")
        self.u = [u[i::rows] for i in range(rows)]
        self.v = [v[j::columns] for j in range(columns)]

    def expected(self, word, i, j, dtype):
        size, fraction, _ = TYPES[dtype]
        if word >> fraction & ((1 << (8 * size - 1 - fraction)) - 1) == (
                1 << (8 * size - 1 - fraction)) - 1:
            return ordered(word, 8 * size)
        s = sum(x * y for x, y in zip(self.u[i], self.v[j], strict=True))
        moved = single(s * 2.0 ** self.exponent)
        x = single(single(float_of(word, dtype) * self.keep) + moved)
        return ordered(word_of(x, dtype), 8 * size)

    def class_of(self, expected, i, j, fraction):
        e = max((expected if expected >= 0 else ~expected) >> fraction, 1)
        number = (self.origin + self.row[i] + self.column[j] - 4 * e) >> 1
        return min(max(number, 0), 10 + 2 * (fraction - 2) + 9)


def read_tables(b):
    """The contexts' ends, and for each context of them 4,096 slots: symbol, frequency, offset."""
    first, last = b.byte(), b.byte()
    if first > 10 or not 11 <= last <= 19:
        raise ValueError("the contexts' ends")
    data, tables = Bytes(b.block()), []
    for _ in range(first, last + 1):
        least, more, frequency, slots = data.byte(), data.byte(), 0, []
        for symbol in range(least, least + more + 1):
            frequency += data.signed()
            slots += [(symbol, frequency, k) for k in range(frequency)]
        if len(slots) != 4096:
            raise ValueError("a table does not add up")
        tables.append(slots)
    return first, last, tables


class Symbols:
    """rANS with 32 states."""

    def __init__(self, data):
        self.data = Bytes(data)
        self.states = list(struct.unpack("<32I", self.data.take(128)))
        self.next = 0

    def symbol(self, slots):
        x = self.states[self.next]
        symbol, frequency, offset = slots[x & 4095]
        x = frequency * (x >> 12) + offset
        if x < 1 << 16:
            x = x << 16 | int.from_bytes(self.data.take(2), "little")
        self.states[self.next] = x
        self.next = (self.next + 1) % 32
        return symbol

    def check_end(self):
        if self.states != [1 << 16] * 32 or self.data.at != len(self.data.data):
            raise ValueError("symbols do not end where they should")


def read_step(b, elements, columns, dtype, base):
    size, fraction, _ = TYPES[dtype]
    model, out = Model(b, elements // columns, columns), []
    for segment in range(0, elements, 32 * 65536):
        starts = range(segment, min(segment + 32 * 65536, elements), 65536)
        strings = [(Bits(b.block()), iter(words(b.block(), size))) for _ in starts]
        first, last, tables = read_tables(b)
        for start, (bits, far) in zip(starts, strings, strict=True):
            symbols = Symbols(b.block())
            for at in range(start, min(start + 65536, elements)):
                i, j = divmod(at, columns)
                expected = model.expected(base[at], i, j, dtype)
                number = model.class_of(expected, i, j, fraction)
                low = min(max((number - 10) >> 1, 0), fraction - 2)
                context = min(max(number - 2 * low, first), last)
                symbol, rest = symbols.symbol(tables[context - first]), bits.take(low)
                if symbol == 0:
                    out.append(next(far))
                else:
                    out.append(unordered(expected + (symbol - 128 << low) + rest, 8 * size))
            symbols.check_end()
            if bits.left > 7 or next(far, None) is not None:
                raise ValueError("bits or elements are left over")
    return out


# ---- blobs and parts ----

def read_blob(blob, base, checksum, methods):
    """The tensor's bytes. `base`: as many bytes, or None; `methods` counts what was met."""
    if blob[0] != 1 or checksum(blob[9:]) != struct.unpack_from("<Q", blob, 1)[0]:
        raise ValueError("a blob's checksum")
    b = Bytes(blob)
    b.at = 9
    method, dtype, flags = b.byte(), b.byte(), b.byte()
    elements, columns = b.varint(), b.varint()
    content = struct.unpack("<Q", b.take(8))[0]
    size = TYPES[dtype][0]
    if flags & 2 and (base is None or len(base) != elements * size):
        raise ValueError("a blob's base")
    methods[method] = methods.get(method, 0) + 1
    if method not in (SAME, PLANES, DELTA, STEP):
        raise Unreadable
    swapped = flags & 1 and size > 1
    old = words(turned(base, size) if swapped else base, size) if flags & 2 else None
    if method == SAME:
        new = old
    elif method == PLANES:
        new = read_planes(b, elements, dtype)
    elif method == DELTA:
        new = read_delta(b, elements, dtype, old)
    else:
        new = read_step(b, elements, columns, dtype, old)
    data = b"".join(w.to_bytes(size, "little") for w in new)
    data = turned(data, size) if swapped else data
    if b.at != len(blob) or checksum(data) != content:
        raise ValueError("what a blob holds")
    return data


def turned(data, size):
    return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))


def read_part(payload, base, checksum, methods):
    """A part of codec 2 (arrays); `base` is the whole base, unpacked."""
    count, codec, length, packed = struct.unpack_from("<IIII", payload)
    sections = [struct.unpack_from("<IIQ", payload, 16 + 16 * i) for i in range(count)]
    at = 16 + 16 * count
    plain = payload[at : at + packed]
    at += packed
    if codec == 1:
        plain = subprocess.run(["zstd", "-dcq"], input=plain, stdout=subprocess.PIPE,
                               check=True).stdout
    if len(plain) != length:
        raise ValueError("a part's plain bytes")
    whole, used = b"", 0
    for raw, size, where in sections:
        if size == 0:
            whole += plain[used : used + raw]
            used += raw
            continue
        if 2 ** 64 - 5 < where < 2 ** 64 - 1:
            raise Unreadable
        old = None if where == 2 ** 64 - 1 or base is None else base[where : where + raw]
        whole += read_blob(payload[at : at + size], old, checksum, methods)
        at += size
    if used != len(plain) or at != len(payload):
        raise ValueError("a part's end")
    return whole

#!/usr/bin/env python3
"""Saves a PyTorch model's tensors from the device that they are on, made small before they cross to
the host, and reads them back with nothing but zstd.

    save_torch.py --library build/libebb_kernels.so OUT        on a GPU
    save_torch.py --library build/libebb_kernels_cpu.so OUT    the same functions on the CPU

Each tensor becomes byte planes with the sign turned to the end, so that the last plane is the
exponent; every plane is then a standard zstd frame of Huffman literals. Only what is left crosses
PCIe. OUT holds the frames one after another and, at its end, a JSON index.
"""
import argparse
import ctypes
import ctypes.util
import json
import struct
import sys

import torch

ROTATE = 1


class Kernels:
    """kernels/ebb_kernels.h through ctypes; tensors stay where they are."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        for name in ("ebb_kernels_huffman_bound", "ebb_kernels_huffman_workspace"):
            function = getattr(self.library, name)
            function.restype, function.argtypes = ctypes.c_size_t, [ctypes.c_size_t]
        self.library.ebb_kernels_error.restype = ctypes.c_char_p
        self.library.ebb_kernels_planes_split.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p,
            ctypes.c_size_t, ctypes.c_void_p]
        self.library.ebb_kernels_huffman_encode.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
            ctypes.c_size_t, ctypes.c_void_p]

    def must(self, rc):
        if rc != 0:
            sys.exit("save_torch.py: " + self.library.ebb_kernels_error(rc).decode())

    def planes(self, tensor, stream):
        """The tensor's byte planes, a row each (padded to 16), on its device."""
        count, stride = tensor.numel(), tensor.element_size()
        pitch = (count + 15) // 16 * 16
        planes = torch.empty((stride, max(pitch, 16)), dtype=torch.uint8, device=tensor.device)
        self.must(self.library.ebb_kernels_planes_split(
            tensor.data_ptr(), count, stride, ROTATE, planes.data_ptr(), planes.stride(0), stream))
        return planes

    def frame(self, plane, count, stream):
        """`count` bytes of the plane as a zstd frame in host memory."""
        bound = self.library.ebb_kernels_huffman_bound(count)
        workspace = torch.empty(max(self.library.ebb_kernels_huffman_workspace(count), 1),
                                dtype=torch.uint8, device=plane.device)
        out = torch.empty(bound, dtype=torch.uint8, device=plane.device)
        size = torch.zeros(1, dtype=torch.int64, device=plane.device)
        self.must(self.library.ebb_kernels_huffman_encode(
            plane.data_ptr(), count, out.data_ptr(), size.data_ptr(), workspace.data_ptr(),
            workspace.numel(), stream))
        return out[:int(size.item())].cpu().numpy().tobytes()


def save(kernels, tensors, path):
    index, raw = [], 0
    with open(path, "wb") as file:
        for name, tensor in tensors.items():
            tensor = tensor.detach().contiguous()
            stream = torch.cuda.current_stream().cuda_stream if tensor.is_cuda else None
            entry = {"name": name, "dtype": str(tensor.dtype), "shape": list(tensor.shape),
                     "frames": []}
            for plane in kernels.planes(tensor, stream):
                frame = kernels.frame(plane, tensor.numel(), stream)
                entry["frames"].append([file.tell(), len(frame)])
                file.write(frame)
            index.append(entry)
            raw += tensor.numel() * tensor.element_size()
        text = json.dumps(index).encode()
        file.write(text + struct.pack("<Q", len(text)))
        return raw, file.tell()


def load(path):
    """The tensors on the CPU: stock zstd, then the planes put together."""
    zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    with open(path, "rb") as file:
        bytes_ = file.read()
    (length,) = struct.unpack("<Q", bytes_[-8:])
    tensors = {}
    for entry in json.loads(bytes_[-8 - length:-8]):
        dtype = getattr(torch, entry["dtype"].split(".")[1])
        stride = len(entry["frames"])
        count = 1
        for side in entry["shape"]:
            count *= side
        word = torch.zeros(count, dtype=torch.int64)
        for place, (offset, size) in enumerate(entry["frames"]):
            out = ctypes.create_string_buffer(max(count, 1))
            got = zstd.ZSTD_decompress(out, ctypes.c_size_t(count), bytes_[offset:offset + size],
                                       ctypes.c_size_t(size))
            if got != count:
                sys.exit(f"{path}: {entry['name']} is damaged")
            plane = torch.frombuffer(out, dtype=torch.uint8, count=count) if count else word[:0]
            word |= plane.to(torch.int64) << (8 * place)
        word = word >> 1 | (word & 1) << (8 * stride - 1)
        signed = torch.int16 if stride == 2 else torch.int32
        half = 1 << (8 * stride - 1)
        word = torch.where(word >= half, word - 2 * half, word).to(signed)
        tensors[entry["name"]] = word.view(dtype).reshape(entry["shape"])
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--width", type=int, default=512, help="of the model that is saved")
    parser.add_argument("out")
    arguments = parser.parse_args()
    device = "cpu" if "_cpu" in arguments.library else "cuda"
    torch.manual_seed(1)
    layer = torch.nn.TransformerEncoderLayer(arguments.width, 8, batch_first=True).to(device)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        layer(torch.randn(4, 16, arguments.width, device=device)).square().mean().backward()
        optimiser.step()
    tensors = dict(layer.state_dict())
    tensors.update({name + ".bf16": value.bfloat16() for name, value in layer.state_dict().items()})
    for name, state in zip(layer.state_dict(), optimiser.state.values()):
        tensors[name + ".exp_avg"], tensors[name + ".exp_avg_sq"] = (
            state["exp_avg"], state["exp_avg_sq"])
    raw, packed = save(Kernels(arguments.library), tensors, arguments.out)
    back = load(arguments.out)
    for name, tensor in tensors.items():
        bits = torch.int16 if tensor.element_size() == 2 else torch.int32
        if not torch.equal(back[name].view(bits), tensor.detach().cpu().view(bits)):
            sys.exit(f"save_torch.py: {name} came back different")
    print(f"{len(tensors)} tensors, {raw} bytes as {packed}: {raw / packed:.3f}; all equal")


if __name__ == "__main__":
    main()

"""Writes data/: images beside what Pillow's exif_transpose and convert("RGB") make of them (.npy).

    python make_files.py           needs numpy, Pillow
"""
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(5)
picture = Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize((20, 12), Image.BICUBIC)


def record(name):
    image = ImageOps.exif_transpose(Image.open(os.path.join(folder, name))).convert("RGB")
    np.save(os.path.join(folder, name + ".npy"), np.asarray(image))


for orientation in range(2, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = f"orientation{orientation}." + ("png" if orientation == 7 else "jpg")
    picture.save(os.path.join(folder, name), exif=exif, **({} if orientation == 7 else {"quality": 80}))
    record(name)
picture.convert("CMYK").save(os.path.join(folder, "cmyk.jpg"), quality=90)
record("cmyk.jpg")
# YCCK, which Pillow reads and does not write: the CMYK file, whose Adobe marker says so.
data = bytearray(open(os.path.join(folder, "cmyk.jpg"), "rb").read())
at = data.index(b"Adobe")
data[at + 11] = 2
open(os.path.join(folder, "ycck.jpg"), "wb").write(data)
record("ycck.jpg")
Image.fromarray(rng.integers(0, 600, (6, 5)).astype(np.uint16)).save(os.path.join(folder, "grey16.png"))
record("grey16.png")
picture.convert("LA").save(os.path.join(folder, "grey_alpha.png"))
record("grey_alpha.png")
clear = picture.quantize(8)
clear.info["transparency"] = 3
clear.save(os.path.join(folder, "palette_clear.png"), transparency=3)
record("palette_clear.png")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


deep = rng.integers(0, 65536, (4, 3, 3)).astype(">u2")
rows = b"".join(b"\0" + row.tobytes() for row in deep)
with open(os.path.join(folder, "colour16.png"), "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 4, 16, 2, 0, 0, 0)))
    file.write(chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
record("colour16.png")

"""Writes pillow/: what Pillow makes of small images.

    python make_fixtures.py        needs numpy, Pillow 9.5

Networks were trained and measured with a Pillow that resizes across before down; Pillow 13 goes down first where
that is cheaper, which rounds differently.
"""
import io
import os

import numpy as np
from PIL import Image

np.random.seed(7)
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pillow")
os.makedirs(folder, exist_ok=True)


def record(name, pixels):
    np.save(os.path.join(folder, name + ".npy"), np.asarray(pixels, dtype=np.uint8))


def packed(name, image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(out.getvalue())
    return Image.open(out)


colour = np.random.randint(0, 256, (9, 7, 3), dtype=np.uint8)  # noise overshoots in bicubic
image = Image.fromarray(colour)
record("noise_9x7", colour)
record("luma_9x7", image.convert("L"))
for name, how in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
    for height, width in ((4, 3), (9, 5), (13, 16), (3, 20)):
        record(f"{name}_{height}x{width}", image.resize((width, height), how))

smooth = Image.fromarray(colour).resize((24, 16), Image.BICUBIC)
packed("smooth.png", smooth, "PNG")
record("smooth.png", smooth)
palette = smooth.quantize(16)
packed("palette.png", palette, "PNG")
record("palette.png", palette.convert("RGB"))
alpha = smooth.convert("RGBA")
alpha.putalpha(Image.fromarray(np.arange(16 * 24, dtype=np.uint8).reshape(16, 24)))
packed("alpha.png", alpha, "PNG")
bits = smooth.convert("1")
packed("one_bit.png", bits, "PNG")
record("one_bit.png", bits.convert("L"))
for name, picture, options in (("colour.jpg", smooth, {}), ("grey.jpg", smooth.convert("L"), {}),
                               ("progressive.jpg", smooth, {"progressive": True})):
    record(name, packed(name, picture, "JPEG", quality=90, **options))

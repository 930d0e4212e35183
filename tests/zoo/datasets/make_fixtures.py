"""Prints fixtures.h: what Pillow makes of small images. Run: python make_fixtures.py > fixtures.h

Needs numpy and Pillow 9.5: networks were trained and measured with a Pillow that resizes across before down;
Pillow 13 goes down first where that is cheaper, which rounds differently.
"""
import io

import numpy as np
import PIL
from PIL import Image

np.random.seed(7)


def array(name, values):
    values = [int(v) for v in values]
    lines = [", ".join(map(str, values[i:i + 20])) for i in range(0, len(values), 20)]
    print(f"inline const std::vector<uint8_t> {name} = {{\n    " + ",\n    ".join(lines) + "};\n")


def packed(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


print(f"// Made by make_fixtures.py with Pillow {PIL.__version__}; not to be edited.\n#pragma once\n\n"
      "#include <cstdint>\n#include <vector>\n\nnamespace fixtures {\n")
colour = np.random.randint(0, 256, (9, 7, 3), dtype=np.uint8)  # noise overshoots in bicubic
image = Image.fromarray(colour)
array("kColour9x7", colour.ravel())
array("kLuma9x7", np.asarray(image.convert("L")).ravel())
for name, how in (("Bilinear", Image.BILINEAR), ("Bicubic", Image.BICUBIC)):
    for height, width in ((4, 3), (9, 5), (13, 16), (3, 20)):
        array(f"k{name}{height}x{width}", np.asarray(image.resize((width, height), how)).ravel())

smooth = Image.fromarray(colour).resize((24, 16), Image.BICUBIC)
array("kSmooth16x24", np.asarray(smooth).ravel())
array("kPng", packed(smooth, "PNG"))
palette = smooth.quantize(16)
array("kPngPalette", packed(palette, "PNG"))
array("kPngPalettePixels", np.asarray(palette.convert("RGB")).ravel())
alpha = smooth.convert("RGBA")
alpha.putalpha(Image.fromarray(np.arange(16 * 24, dtype=np.uint8).reshape(16, 24)))
array("kPngAlpha", packed(alpha, "PNG"))
bits = smooth.convert("1")
array("kPngOneBit", packed(bits, "PNG"))
array("kPngOneBitPixels", np.asarray(bits.convert("L")).ravel())
for name, picture, options in (("Colour", smooth, {}), ("Grey", smooth.convert("L"), {}),
                               ("Progressive", smooth, {"progressive": True})):
    data = packed(picture, "JPEG", quality=90, **options)
    array(f"kJpeg{name}", data)
    array(f"kJpeg{name}Pixels", np.asarray(Image.open(io.BytesIO(data))).ravel())
print("}  // namespace fixtures")

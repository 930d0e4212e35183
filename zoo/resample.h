// Brings what weights hold for one size of image to another, as timm does when it loads them.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::zoo {

enum class Resampling {
  kBicubicAntialias,  // Pillow's: Keys' cubic with a = -1/2, widened where the image shrinks
  kBilinear,          // two neighbours of each place, however far it shrinks
};

// (C,H,W) f32 of any strides -> (C,out_h,out_w), as torch's interpolate with antialias on and off
// (align_corners=False).
Tensor resize(const Tensor& x, int64_t out_h, int64_t out_w, Resampling kernel);

// A table ((2H-1)(2W-1), heads) of biases by offset within a window, from a square one, as timm's
// resize_rel_pos_bias_table does: linearly between places that spread geometrically from the
// middle, since near offsets matter more (Bao et al. 2022). The same where the size is right; as it
// is where it was not square, for the strict load to refuse.
Tensor resize_offset_table(const Tensor& table, int64_t rows, int64_t columns);

}  // namespace kintsugi::zoo

// Brings what weights hold for one size of image to another, as timm does when it loads them.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::zoo {

// (C,H,W) f32 of any strides -> (C,out_h,out_w): torch's interpolate(mode="bicubic",
// antialias=True), which is Pillow's: Keys' cubic with a = -1/2, widened where the image shrinks,
// its weights normalised.
Tensor resize_bicubic_antialias(const Tensor& x, int64_t out_h, int64_t out_w);

}  // namespace kintsugi::zoo

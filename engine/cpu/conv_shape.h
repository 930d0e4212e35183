// The numbers of a 2-D convolution, plain so that SIMD files and oneDNN's keys take them. Never
// installed.
#pragma once

#include <cstdint>

namespace kintsugi::cpu {

struct ConvShape {
  int64_t n, c, h, w;  // input (n,h,w,c in memory)
  int64_t o, oh, ow;   // output (n,oh,ow,o in memory)
  int64_t kh, kw;      // weight (o, c/groups, kh, kw), row major
  int64_t stride_h, stride_w;
  int64_t top, bottom, left, right;  // padding
  int64_t dilation_h, dilation_w;
  int64_t groups;
  int64_t relu = 0;  // of the forward: max(0, .) of the result
};

}  // namespace kintsugi::cpu

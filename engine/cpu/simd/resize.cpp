#include "kintsugi/engine/cpu/simd/resize.h"

#include "kintsugi/engine/cpu/simd/lanes.h"
#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

void combine(int64_t taps, const int64_t* offset, const float* weight, const float* x, int64_t n,
             float* y) {
  each_vector(n, [&](const auto& lanes, int64_t k) {
    Vec sum{};
    for (int64_t t = 0; t < taps; ++t) sum += weight[t] * lanes.get(x + offset[t] + k);
    lanes.put(y + k, sum);
  });
}

}  // namespace

extern const ResizeKernels resize_kernels_table = {combine};

}  // namespace kintsugi::cpu::KINTSUGI_ISA

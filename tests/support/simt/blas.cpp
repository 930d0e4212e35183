// The emulator's cuBLASLt: plain loops over operands rounded as math_of says, sums in double.
#include "kintsugi/engine/cuda/blas.h"

#include <vector>

#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/cuda/mma.h"
#include "tests/support/simt/device.h"

namespace kintsugi::cuda {

namespace {

float rounded(const float* x, int64_t i, Math math) {
  return math == Math::kF32 ? x[i] : __uint_as_float(to_tf32(x[i]));
}
float rounded(const BFloat16* x, int64_t i, Math) {
  return widen(x[i]);
}

// One matrix as (rows,columns) row major, turned where it lies the other way.
template <class T>
std::vector<float> gathered(const T* x, int64_t rows, int64_t columns, int64_t row, bool turned,
                            Math math) {
  std::vector<float> out;
  out.reserve(size_t(rows * columns));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      out.push_back(rounded(x, turned ? j * row + i : i * row + j, math));
    }
  }
  return out;
}

template <class In, class Out>
void products(const Gemm& g, Math math) {
  for (int64_t p = 0; p < g.batch; ++p) {
    const auto a = gathered(static_cast<const In*>(g.a) + p * g.a_step, g.m, g.k, g.a_row,
                            g.a_transposed, math);
    const auto b = gathered(static_cast<const In*>(g.b) + p * g.b_step, g.n, g.k, g.b_row,
                            !g.b_transposed, math);
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j) {
        const float *u = &a[size_t(i * g.k)], *v = &b[size_t(j * g.k)];
        double sums[4] = {0, 0, 0, 0};
        int64_t q = 0;
        for (; q + 4 <= g.k; q += 4) {
          for (int r = 0; r < 4; ++r) sums[r] += double(u[q + r]) * v[q + r];
        }
        for (; q < g.k; ++q) sums[0] += double(u[q]) * v[q];
        const double sum = sums[0] + sums[1] + sums[2] + sums[3];
        Out& y = static_cast<Out*>(g.y)[p * g.y_step + i * g.y_row + j];
        y = narrow<Out>(float(g.accumulate ? widen(y) + sum : sum));
      }
    }
  }
}

}  // namespace

void gemm(const char* op, const Gemm& g) {
  const Math math = math_of(g.operands);
  simt::enqueue([g, math] {
    if (g.operands == DType::kF32)
      products<float, float>(g, math);
    else if (g.result == DType::kF32)
      products<BFloat16, float>(g, math);
    else
      products<BFloat16, BFloat16>(g, math);
  });
  if (g.bias || g.relu) finish(op, g);
}

}  // namespace kintsugi::cuda

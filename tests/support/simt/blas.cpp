// The emulator's cuBLASLt: plain loops over operands rounded as Context::math says, sums in double.
#include "kintsugi/engine/cuda/blas.h"

#include <vector>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/mma.h"
#include "tests/support/simt/device.h"

namespace kintsugi::cuda {

namespace {

// One matrix as (rows,columns) row major, turned where it lies the other way.
template <class Load>
std::vector<float> gathered(int64_t rows, int64_t columns, int64_t row, bool turned,
                            const Load& load) {
  std::vector<float> out;
  out.reserve(size_t(rows * columns));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) out.push_back(load(turned ? j * row + i : i * row + j));
  }
  return out;
}

template <class A, class B>
void products(const Gemm& g, const A& load_a, const B& load_b) {
  for (int64_t p = 0; p < g.batch; ++p) {
    const auto a = gathered(g.m, g.k, g.a_row, g.a_transposed,
                            [&](int64_t i) { return load_a(p * g.a_step + i); });
    const auto b = gathered(g.n, g.k, g.b_row, !g.b_transposed,
                            [&](int64_t i) { return load_b(p * g.b_step + i); });
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
        float& y = g.y[p * g.y_step + i * g.y_row + j];
        y = float(g.accumulate ? y + sum : sum);
      }
    }
  }
}

}  // namespace

void gemm(const char* op, const Gemm& g) {
  switch (Context::current().math) {
    case Math::kF32:
      simt::enqueue([g] {
        products(
            g, [&](int64_t i) { return g.a[i]; }, [&](int64_t i) { return g.b[i]; });
      });
      break;
    case Math::kTF32:
      simt::enqueue([g] {
        const auto rounded = [](const float* x, int64_t i) {
          return __uint_as_float(to_tf32(x[i]));
        };
        products(
            g, [&](int64_t i) { return rounded(g.a, i); },
            [&](int64_t i) { return rounded(g.b, i); });
      });
      break;
    case Math::kBF16: {
      const Narrowed a = narrowed(op, g.a, g.a_transposed ? g.k : g.m, g.a_transposed ? g.m : g.k,
                                  g.a_row, g.batch, g.a_step);
      const Narrowed b = narrowed(op, g.b, g.b_transposed ? g.n : g.k, g.b_transposed ? g.k : g.n,
                                  g.b_row, g.batch, g.b_step);
      Gemm narrow = g;
      narrow.a_row = a.row;
      narrow.a_step = a.step;
      narrow.b_row = b.row;
      narrow.b_step = b.step;
      // As on a device, the memory goes back to the pool before a captured graph has run.
      const auto* left = static_cast<const uint16_t*>(a.values.address());
      const auto* right = static_cast<const uint16_t*>(b.values.address());
      simt::enqueue([=] {
        const auto wide = [](const uint16_t* x, int64_t i) {
          return __uint_as_float(uint32_t(x[i]) << 16);
        };
        products(
            narrow, [&](int64_t i) { return wide(left, i); },
            [&](int64_t i) { return wide(right, i); });
      });
      break;
    }
  }
  if (g.bias || g.activation != Activation::kNone) finish(op, g);
}

}  // namespace kintsugi::cuda

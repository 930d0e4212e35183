#include "kintsugi/engine/cpu/softmax.h"

#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/engine/cpu/simd/softmax.h"

namespace kintsugi::cpu {

namespace {

constexpr int64_t kGrain = 1 << 13;  // elements that are worth a thread

// Dense memory is (outer, n, inner) for whatever dimension.
struct Extents {
  int64_t outer, n, inner;
};

Extents extents(const Tensor& x, int dim) {
  const int64_t n = x.size(dim);
  const int64_t inner = n == 1 ? 1 : x.strides()[dim];
  return {x.numel() / (n * inner), n, inner};
}

// rows(first, count) for inner 1; else columns(offset, width) for runs of neighbouring columns.
template <class Rows, class Columns>
void split(const Extents& e, const Rows& rows, const Columns& columns) {
  if (e.inner == 1) {
    parallel_for(e.outer, kGrain / e.n,
                 [&](int64_t begin, int64_t end) { rows(begin * e.n, end - begin); });
    return;
  }
  // Runs of 64 columns keep whole cache lines and stay in the first cache for moderate n.
  constexpr int64_t kRun = 64;
  const int64_t runs = (e.inner + kRun - 1) / kRun;
  parallel_for(e.outer * runs, kGrain / (e.n * kRun), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % runs * kRun;
      columns(i / runs * e.n * e.inner + first, std::min(kRun, e.inner - first));
    }
  });
}

bool takes(const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::kF32 && a.is_dense() && a.strides() == b.strides();
}

}  // namespace

bool softmax(const Tensor& x, int dim, bool logarithm, const Tensor& y) {
  if (!takes(x, y)) return false;
  if (x.numel() == 0) return true;
  const Extents e = extents(x, dim);
  const float* src = x.data<float>();
  float* dst = y.data<float>();
  const SoftmaxKernels& kernels = softmax_kernels();
  split(
      e, [&](int64_t at, int64_t rows) { kernels.rows(src + at, rows, e.n, logarithm, dst + at); },
      [&](int64_t at, int64_t width) {
        kernels.columns(src + at, width, e.n, e.inner, logarithm, dst + at);
      });
  return true;
}

bool softmax_backward(const Tensor& y, const Tensor& dy, int dim, bool logarithm,
                      const Tensor& dx) {
  if (!takes(y, dy) || !takes(y, dx)) return false;
  if (y.numel() == 0) return true;
  const Extents e = extents(y, dim);
  const float *value = y.data<float>(), *grad = dy.data<float>();
  float* dst = dx.data<float>();
  const SoftmaxKernels& kernels = softmax_kernels();
  split(
      e,
      [&](int64_t at, int64_t rows) {
        kernels.rows_backward(value + at, grad + at, rows, e.n, logarithm, dst + at);
      },
      [&](int64_t at, int64_t width) {
        kernels.columns_backward(value + at, grad + at, width, e.n, e.inner, logarithm, dst + at);
      });
  return true;
}

}  // namespace kintsugi::cpu

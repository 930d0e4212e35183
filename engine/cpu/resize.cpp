#include "kintsugi/engine/cpu/resize.h"

#include <vector>

#include "kintsugi/engine/cpu/simd/resize.h"
#include "kintsugi/engine/cpu/workers.h"
#include "kintsugi/engine/ref/resize.h"

namespace kintsugi::cpu {

namespace {

// A sparse matrix by rows; the columns as offsets in elements.
struct Sparse {
  std::vector<int64_t> start{0}, offset;
  std::vector<float> weight;

  int64_t rows() const { return int64_t(start.size()) - 1; }
  void apply(int64_t row, const float* x, int64_t n, float* y) const {
    const int64_t first = start[size_t(row)];
    resize_kernels().combine(start[size_t(row) + 1] - first, offset.data() + first,
                             weight.data() + first, x, n, y);
  }
};

// The axis's matrix from `in` to `out`, or its transpose; `step` elements lie between columns.
Sparse make_sparse(int64_t in, int64_t out, ops::Interpolation interpolation, bool transposed,
                   int64_t step) {
  auto rows = ref::resize_rows(in, out, interpolation);
  if (transposed) {
    std::vector<std::vector<ref::ResizeTap>> columns(static_cast<size_t>(in));
    for (size_t i = 0; i < rows.size(); ++i) {
      for (const ref::ResizeTap& tap : rows[i]) {
        columns[size_t(tap.index)].push_back({int64_t(i), tap.weight});
      }
    }
    rows = std::move(columns);
  }
  Sparse sparse;
  for (const auto& row : rows) {
    for (const ref::ResizeTap& tap : row) {
      sparse.offset.push_back(tap.index * step);
      sparse.weight.push_back(float(tap.weight));
    }
    sparse.start.push_back(int64_t(sparse.offset.size()));
  }
  return sparse;
}

// One row of the result at a time: the vertical taps first, over whole rows, then the horizontal.
void apply(const Sparse& vertical, const Sparse& horizontal, const Tensor& x, Tensor& y) {
  const Tensor src = x.channels_last();
  const int64_t c = x.size(1), row = x.size(3) * c, plane = x.size(2) * row;
  const int64_t height = vertical.rows(), width = horizontal.rows();
  const int64_t items = y.size(0) * height;
  const int64_t grain = std::max<int64_t>(1, 8192 / (row + width * c));
  const int workers = workers_for(items, grain);
  const Tensor scratch = Tensor::empty({workers, row});
  const float* in = src.data<float>();
  float *out = y.data<float>(), *held = scratch.data<float>();
  for_workers(workers, items, [&](int worker, int64_t begin, int64_t end) {
    float* line = held + worker * row;
    for (int64_t item = begin; item < end; ++item) {
      vertical.apply(item % height, in + item / height * plane, row, line);
      for (int64_t j = 0; j < width; ++j) {
        horizontal.apply(j, line, c, out + (item * width + j) * c);
      }
    }
  });
}

}  // namespace

bool resize2d(const Tensor& x, ops::Interpolation interpolation, Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  const int64_t c = x.size(1);
  apply(make_sparse(x.size(2), y.size(2), interpolation, false, x.size(3) * c),
        make_sparse(x.size(3), y.size(3), interpolation, false, c), x, y);
  return true;
}

bool resize2d_backward(const Tensor& dy, ops::Interpolation interpolation, Tensor& dx) {
  if (dy.dtype() != DType::kF32) return false;
  if (dx.numel() == 0) return true;
  const int64_t c = dy.size(1);
  apply(make_sparse(dx.size(2), dy.size(2), interpolation, true, dy.size(3) * c),
        make_sparse(dx.size(3), dy.size(3), interpolation, true, c), dy, dx);
  return true;
}

}  // namespace kintsugi::cpu

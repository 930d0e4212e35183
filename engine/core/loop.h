// Loops over several broadcast tensors at once: dimensions in the first one's memory order, merged
// where every operand allows it, so that most calls are one flat row. Never installed.
#pragma once

#include <array>
#include <cstdint>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::detail {

// K operands; extents and strides from the outermost dimension to the innermost, at least two.
template <int K>
struct Loop {
  int rank = 0;
  int64_t total = 0;
  std::array<int64_t, kMaxRank + 2> extent{};
  std::array<std::array<int64_t, kMaxRank + 2>, K> stride{};

  int64_t inner() const { return extent[rank - 1]; }
  int64_t inner_step(int k) const { return stride[k][rank - 1]; }
  int64_t row_step(int k) const { return stride[k][rank - 2]; }
};

// The first tensor gives shape and order; the others broadcast to it.
template <int K>
Loop<K> make_loop(const std::array<const Tensor*, K>& tensors) {
  const Shape& shape = tensors[0]->shape();
  const int rank = shape.rank();
  std::array<std::array<int64_t, kMaxRank>, K> steps{};
  for (int k = 0; k < K; ++k) {
    const int shift = rank - tensors[k]->rank();
    for (int i = shift; i < rank; ++i) {
      const bool repeats = tensors[k]->shape().begin()[i - shift] == 1;
      steps[k][i] = repeats ? 0 : tensors[k]->strides().begin()[i - shift];
    }
  }
  std::array<int, kMaxRank> order{};
  int count = 0;
  for (int i = 0; i < rank; ++i) {
    if (shape.begin()[i] == 1) continue;
    int at = count++;
    for (; at > 0 && steps[0][order[at - 1]] < steps[0][i]; --at) order[at] = order[at - 1];
    order[at] = i;
  }
  Loop<K> loop;
  loop.total = tensors[0]->numel();
  int& depth = loop.rank;
  loop.extent[depth++] = 1;  // rows, where all is one row
  loop.extent[depth++] = 1;
  for (int o = 0; o < count; ++o) {
    const int dim = order[o];
    const int64_t n = shape.begin()[dim];
    bool merges = true;
    for (int k = 0; k < K; ++k) merges &= loop.stride[k][depth - 1] == steps[k][dim] * n;
    if (!merges || loop.extent[depth - 1] == 1) {
      if (loop.extent[depth - 1] != 1) ++depth;
      loop.extent[depth - 1] = 1;
    }
    loop.extent[depth - 1] *= n;
    for (int k = 0; k < K; ++k) loop.stride[k][depth - 1] = steps[k][dim];
  }
  return loop;
}

}  // namespace kintsugi::detail

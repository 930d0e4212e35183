#include "kintsugi/engine/ops/order.h"

#include <algorithm>
#include <array>

namespace kintsugi::detail {

namespace {

// Dense strides of `shape` with the dimensions from the widest stride of `like` to the narrowest.
// Dimensions of extent 1 have no place of their own: they keep row-major order among their
// neighbours.
Strides strides_in_order_of(const Tensor& like, const Shape& shape) {
  const int rank = shape.rank();
  const int64_t* extents = like.shape().begin();
  const int64_t* steps = like.strides().begin();
  std::array<int, kMaxRank> order{};
  int count = 0;
  for (int i = 0; i < rank; ++i) {
    if (extents[i] == 1) continue;
    if (steps[i] == 0) return contiguous_strides(shape);
    int at = count++;
    for (; at > 0 && steps[order[at - 1]] < steps[i]; --at) order[at] = order[at - 1];
    order[at] = i;
  }
  for (int i = 0; i < rank; ++i) {
    if (extents[i] == 1) order[count++] = i;
  }
  Strides strides = shape;
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    strides.begin()[order[i]] = step;
    step *= std::max<int64_t>(1, shape.begin()[order[i]]);
  }
  return strides;
}

}  // namespace

Tensor empty_in_order_of(const Tensor& like) {
  return empty_in_order_of(like, like.shape(), like.dtype());
}

Tensor empty_in_order_of(const Tensor& like, const Shape& shape, DType dtype) {
  const Tensor out = Tensor::empty(shape, dtype, like.device());
  if (like.is_contiguous()) return out;
  return out.strided(shape, strides_in_order_of(like, shape), 0);
}

Tensor in_order_of(const Tensor& like, const Tensor& x) {
  const Strides wanted =
      like.is_contiguous() ? contiguous_strides(x.shape()) : strides_in_order_of(like, x.shape());
  bool same = true;
  for (int i = 0; i < x.rank(); ++i) {
    same &= x.shape().begin()[i] == 1 || x.strides().begin()[i] == wanted.begin()[i];
  }
  if (same) return x;
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device()).strided(x.shape(), wanted, 0);
  out.copy_from(x);
  return out;
}

}  // namespace kintsugi::detail

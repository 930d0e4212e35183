#include "kintsugi/autograd/ops/reduce.h"

#include "kintsugi/engine/ops/elementwise.h"

namespace kintsugi::autograd {

Variable reduce(ops::Reduce op, const Variable& x, const Dims& dims, bool keepdim) {
  const Tensor y = ops::reduce(op, x.value(), dims, keepdim);
  Shape kept = x.shape();
  for (int i = 0; i < kept.rank(); ++i) if (dims.rank() == 0) kept[i] = 1;
  for (const int64_t d : dims) kept[int(d)] = 1;
  const double scale = op == ops::Reduce::kMean ? double(kept.numel()) / double(std::max<int64_t>(1, x.value().numel())) : 1;
  const bool extremum = op == ops::Reduce::kMax || op == ops::Reduce::kMin;
  return differentiable("reduce", y, {x}, [=, shape = x.shape(), x = extremum ? Saved(x.value()) : Saved(), y = extremum ? Saved(y) : Saved()](const Tensor& dy, const Wants&) {
    const Tensor g = dy.contiguous().view(kept);
    if (extremum) return Tensors{ops::extremum_backward(x.get(), y.get().view(kept), g)};
    return Tensors{(scale == 1 ? g : ops::affine(g, scale, 0)).expand(shape)};
  });
}

}  // namespace kintsugi::autograd

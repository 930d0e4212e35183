#include "kintsugi/autograd/ops/reduce.h"

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::autograd {

Variable reduce(ops::Reduce op, const Variable& x, const Dims& dims, bool keepdim) {
  constexpr const char* kNames[] = {"sum", "mean", "max", "min"};
  const Tensor y = ops::reduce(op, x.value(), dims, keepdim);
  Shape kept = dims.rank() == 0 ? Shape::filled(x.rank(), 1) : x.shape();
  for (const int64_t d : dims) kept[int(d)] = 1;
  const bool extremum = op == ops::Reduce::kMax || op == ops::Reduce::kMin;
  const double scale = op == ops::Reduce::kMean ? double(y.numel()) / double(x.value().numel()) : 1;
  return differentiable(
      kNames[static_cast<int>(op)], y, {x},
      [kept, scale, extremum, shape = x.shape(), x = extremum ? Saved(x.value()) : Saved(),
       y = extremum ? Saved(y) : Saved()](const Tensor& dy, const Wants&) {
        const Tensor d = ops::reshape(dy, kept);
        if (extremum) {
          return Tensors{ops::extremum_backward(x.get(), ops::reshape(y.get(), kept), d)};
        }
        return Tensors{ops::expand(scale == 1 ? d : ops::affine(d, scale, 0), shape)};
      });
}

}  // namespace kintsugi::autograd

#include "kintsugi/engine/ref/reduce.h"

#include <limits>

#include "kintsugi/engine/ref/walk.h"

namespace kintsugi::ref {

using ops::Reduce;

void reduce(Reduce op, const Tensor& x, Tensor& y) {
  const bool sums = op == Reduce::kSum || op == Reduce::kMean;
  const double infinity = std::numeric_limits<double>::infinity();
  Tensor total = Tensor::full(y.shape(),
                              sums                 ? 0
                              : op == Reduce::kMax ? -infinity
                                                   : infinity,
                              DType::kF64);
  const At<double> sum(total, x.shape());
  visit_floating("reduce", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> src(x);
    for_each_index(x.shape(), [&](const Index& i) {
      double& held = sum(i);
      const double value = src(i);
      if (sums)
        held += value;
      else if (value != value || (op == Reduce::kMax ? value > held : value < held))
        held = value;
    });
  });
  if (op == Reduce::kMean) {
    const double count = double(x.numel()) / double(y.numel());
    double* data = total.data<double>();
    for (int64_t i = 0; i < total.numel(); ++i) data[i] /= count;
  }
  y.copy_from(total);
}

void extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  Tensor ties = Tensor::zeros(y.shape(), DType::kI64);
  const At<int64_t> count(ties, x.shape());
  visit_floating("extremum_backward", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> src(x), dst(y, x.shape()), diff_dst(dy, x.shape()), diff_src(dx);
    for_each_index(x.shape(), [&](const Index& i) { count(i) += src(i) == dst(i); });
    for_each_index(x.shape(), [&](const Index& i) {
      diff_src(i) = src(i) == dst(i) ? diff_dst(i) / T(count(i)) : T(0);
    });
  });
}

void argmax(const Tensor& x, int dim, Tensor& y) {
  const Tensor moved = y.unsqueeze(dim);
  const At<int64_t> best(moved, x.shape());
  Shape kept = x.shape();
  kept[dim] = 1;
  visit_floating("argmax", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> src(x);
    for_each_index(kept, [&](const Index& start) {
      Index i = start, at = start;
      for (i[size_t(dim)] = 1; i[size_t(dim)] < x.size(dim); ++i[size_t(dim)]) {
        // NaN counts as the largest, as in PyTorch.
        const T value = src(i), held = src(at);
        if (value > held || (value != value && held == held)) at = i;
      }
      best(start) = at[size_t(dim)];
    });
  });
}

}  // namespace kintsugi::ref

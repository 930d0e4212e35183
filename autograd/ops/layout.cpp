#include "kintsugi/autograd/ops/layout.h"

#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

Variable reshape(const Variable& x, const Shape& shape) {
  return differentiable(
      "reshape", ops::reshape(x.value(), shape), {x},
      [s = x.shape()](const Tensor& dy, const Wants&) { return Tensors{ops::reshape(dy, s)}; });
}
Variable permute(const Variable& x, const Dims& dims) {
  Dims back = Dims::filled(dims.rank(), 0);
  const Tensor y = ops::permute(x.value(), dims);
  for (int i = 0; i < dims.rank(); ++i)
    back[normalise_dim("permute", int(dims[i]), dims.rank())] = i;
  return differentiable("permute", y, {x}, [back](const Tensor& dy, const Wants&) {
    return Tensors{ops::permute(dy, back)};
  });
}
Variable transpose(const Variable& x, int a, int b) {
  return differentiable(
      "transpose", ops::transpose(x.value(), a, b), {x},
      [a, b](const Tensor& dy, const Wants&) { return Tensors{ops::transpose(dy, a, b)}; });
}
Variable slice(const Variable& x, int dim, int64_t start, int64_t stop, int64_t step) {
  return differentiable("slice", ops::slice(x.value(), dim, start, stop, step), {x},
                        [=, s = x.shape()](const Tensor& dy, const Wants&) {
                          return Tensors{ops::slice_backward(dy, s, dim, start, step)};
                        });
}
Variable expand(const Variable& x, const Shape& shape) {
  return differentiable(
      "expand", ops::expand(x.value(), shape), {x},
      [s = x.shape()](const Tensor& dy, const Wants&) { return Tensors{ops::sum_to(dy, s)}; });
}
Variable concat(const std::vector<Variable>& xs, int dim) {
  std::vector<Tensor> values;
  std::vector<int64_t> sizes;
  for (const Variable& x : xs) {
    values.push_back(x.value());
    sizes.push_back(x.size(dim));
  }
  return differentiable(
      "concat", ops::concat(values, dim), xs, [dim, sizes](const Tensor& dy, const Wants& wants) {
        Tensors grads;
        int64_t at = 0;
        for (size_t i = 0; i < sizes.size(); ++i) {
          grads.push_back(wants[i] ? ops::slice(dy, dim, at, at + sizes[i]) : Tensor());
          at += sizes[i];
        }
        return grads;
      });
}
Variable pad(const Variable& x, const std::vector<ops::PadDim>& pads, double value) {
  std::vector<ops::PadDim> back = pads;
  for (auto& p : back) {
    p.before = -p.before;
    p.after = -p.after;
  }
  return differentiable(
      "pad", ops::pad(x.value(), pads, value), {x},
      [back](const Tensor& dy, const Wants&) { return Tensors{ops::pad(dy, back)}; });
}
Variable roll(const Variable& x, const Dims& shifts, const Dims& dims) {
  Dims back = shifts;
  for (int64_t& s : back) s = -s;
  return differentiable(
      "roll", ops::roll(x.value(), shifts, dims), {x},
      [back, dims](const Tensor& dy, const Wants&) { return Tensors{ops::roll(dy, back, dims)}; });
}
Variable gather(const Variable& x, int dim, const Tensor& indices) {
  return differentiable("gather", ops::gather(x.value(), dim, indices), {x},
                        [=, s = x.shape()](const Tensor& dy, const Wants&) {
                          return Tensors{ops::gather_backward(dy, s, dim, indices)};
                        });
}
Variable cast(const Variable& x, DType dtype) {
  if (x.value().dtype() == dtype) return x;
  return differentiable("cast", ops::cast(x.value(), dtype), {x},
                        [](const Tensor& dy, const Wants&) { return Tensors{dy}; });
}
Variable grid_to_tokens(const Variable& x) {
  const int64_t h = x.size(2), w = x.size(3);
  return differentiable(
      "grid_to_tokens", ops::grid_to_tokens(x.value()), {x},
      [h, w](const Tensor& dy, const Wants&) { return Tensors{ops::tokens_to_grid(dy, h, w)}; });
}
Variable tokens_to_grid(const Variable& x, int64_t h, int64_t w) {
  return differentiable(
      "tokens_to_grid", ops::tokens_to_grid(x.value(), h, w), {x},
      [](const Tensor& dy, const Wants&) { return Tensors{ops::grid_to_tokens(dy)}; });
}

}  // namespace kintsugi::autograd

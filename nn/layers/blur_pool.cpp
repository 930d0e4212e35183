#include "kintsugi/nn/layers/blur_pool.h"

#include "kintsugi/autograd/ops/conv.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/engine/ops/elementwise.h"

namespace kintsugi::nn {

namespace {

// One line more on either side of `dim`, the mirror of the second and of the last but one.
Variable reflect(const Variable& x, int dim) {
  const int64_t size = x.size(dim);
  if (size < 2) {
    fail(ErrorKind::kShape, "blur_pool2d: got ", x.shape(),
         ", expected at least 2 rows and columns");
  }
  return autograd::concat(
      {autograd::slice(x, dim, 1, 2), x, autograd::slice(x, dim, size - 2, size - 1)}, dim);
}

}  // namespace

Variable BlurPool2d::forward(const Variable& x) {
  const Tensor& like = x.value();
  Tensor filter = Tensor::empty({x.size(1), 1, 3, 3}, parameter_dtype(like.dtype()), like.device());
  if (!like.is_meta()) {
    // (1 2 1) (1 2 1)^T / 16
    filter.fill(1.0 / 16);
    for (const int dim : {2, 3}) {
      const Tensor middle = filter.slice(dim, 1, 2);
      filter.slice(dim, 1, 2).copy_from(ops::add(middle, middle));
    }
  }
  const Variable padded = reflected_ ? reflect(reflect(x, 2), 3) : x;
  return autograd::conv2d(padded, Variable(filter), {},
                          ops::Conv2dParams::same(2, reflected_ ? 0 : 1, x.size(1)));
}

}  // namespace kintsugi::nn

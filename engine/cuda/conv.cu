#include "kintsugi/engine/cuda/conv.h"

#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/cuda/conv_gemm.h"
#include "kintsugi/engine/cuda/depthwise.h"
#include "kintsugi/engine/cuda/matmul.h"
#include "kintsugi/engine/cuda/reduce.h"

namespace kintsugi::cuda {

namespace {

constexpr int64_t kMost = 1 << 28;  // sums of a few such positions fit 32 bits

bool takes(const Tensor& x, const Shape& weight, const ops::Conv2dParams& params, const Tensor& y) {
  if (x.dtype() != DType::kF32 && x.dtype() != DType::kBF16) return false;
  for (const int64_t v : params.stride)
    if (v > kMost) return false;
  for (const int64_t v : params.padding)
    if (v > kMost) return false;
  for (const int64_t v : params.dilation)
    if (v > kMost) return false;
  if (weight.numel() / weight[0] > kMost) return false;  // terms of a sum
  for (const Tensor* t : {&x, &y}) {
    if (t->size(1) * t->size(3) > kMost || t->size(2) > kMost) return false;
  }
  return conv_gemm_takes(x, y);
}

// A dense 1x1 convolution of stride 1 without padding is a product of matrices, which a library's
// gemm takes: y (pixels,O) = x (pixels,C) * transposed weight (O,C).
bool is_product(const Shape& weight, const ops::Conv2dParams& params) {
  const bool whole = weight[2] == 1 && weight[3] == 1 && params.groups == 1;
  return whole && params.stride == decltype(params.stride){1, 1} &&
         params.padding == decltype(params.padding){};
}

Tensor pixels_of(const Tensor& grid) {
  const Tensor x = grid.channels_last().permute({0, 2, 3, 1});
  return x.view({x.numel() / x.size(3), x.size(3)});
}
Tensor matrix_of(const Tensor& weight) {
  return weight.contiguous().view({weight.size(0), weight.size(1)});
}

bool is_depthwise(const Shape& weight, const ops::Conv2dParams& params) {
  return weight[1] == 1 && (params.groups > 1 || weight[0] == 1);
}

}  // namespace

bool conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ops::Conv2dParams& params, const Tensor& y) {
  if (!takes(x, weight.shape(), params, y)) return false;
  if (y.numel() == 0) return true;
  if (is_product(weight.shape(), params)) {
    const Tensor b = bias.defined() ? bias.contiguous() : bias;
    return linear(pixels_of(x), matrix_of(weight), b, pixels_of(y), params.relu);
  }
  if (is_depthwise(weight.shape(), params))
    depthwise(x, weight, bias, params, y);
  else
    conv_gemm(x, weight, bias, params, y);
  return true;
}

bool conv2d_backward_input(const Tensor& dy, const Tensor& weight, const ops::Conv2dParams& params,
                           const Tensor& dx) {
  if (!takes(dx, weight.shape(), params, dy)) return false;
  if (dx.numel() == 0) return true;
  if (is_product(weight.shape(), params)) {
    return linear_backward(pixels_of(dx), matrix_of(weight), pixels_of(dy), pixels_of(dx), {}, {});
  }
  if (is_depthwise(weight.shape(), params))
    depthwise_backward_input(dy, weight, params, dx);
  else
    conv_gemm_backward_input(dy, weight, params, dx);
  return true;
}

bool conv2d_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                            const Tensor& dweight, const Tensor& dbias) {
  if (!takes(x, dweight.shape(), params, dy)) return false;
  if (dy.numel() == 0) {
    fill(dweight, 0);
    if (dbias.defined()) fill(dbias, 0);
    return true;
  }
  if (is_product(dweight.shape(), params)) {
    const Tensor w = matrix_of(dweight);
    return linear_backward(pixels_of(x), w, pixels_of(dy), {}, w, dbias);
  }
  if (is_depthwise(dweight.shape(), params))
    depthwise_backward_weight(x, dy, params, dweight);
  else
    conv_gemm_backward_weight(x, dy, params, dweight);
  if (!dbias.defined()) return true;
  Tensor sums = dbias.view({1, dbias.numel(), 1, 1});
  return reduce(ops::Reduce::kSum, dy, sums);
}

}  // namespace kintsugi::cuda

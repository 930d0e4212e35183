#include "kintsugi/engine/cpu/conv.h"

#include "kintsugi/engine/cpu/conv_shape.h"
#include "kintsugi/engine/cpu/depthwise.h"
#ifdef KINTSUGI_HAVE_ONEDNN
#include "kintsugi/engine/cpu/onednn.h"
#endif

namespace kintsugi::cpu {

namespace {

ConvShape shape_of(const Tensor& x, const Tensor& weight, const Tensor& y,
                   const ops::Conv2dParams& p) {
  return {x.size(0),    x.size(1),      x.size(2),      x.size(3),     y.size(1),     y.size(2),
          y.size(3),    weight.size(2), weight.size(3), p.stride[0],   p.stride[1],   p.padding[0],
          p.padding[1], p.padding[2],   p.padding[3],   p.dilation[0], p.dilation[1], p.groups};
}

const float* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<float>() : nullptr;
}

bool takes(const Tensor& x, const Tensor& y) {
  return x.dtype() == DType::kF32 && x.numel() > 0 && y.numel() > 0;
}

}  // namespace

bool conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ops::Conv2dParams& params, const Tensor& y) {
  if (!takes(x, y)) return false;
  const Tensor in = x.channels_last(), w = weight.contiguous();
  const Tensor b = bias.defined() ? bias.contiguous() : bias;
  const ConvShape shape = shape_of(x, weight, y, params);
  if (is_depthwise(shape) &&
      depthwise(shape, in.data<float>(), w.data<float>(), data_or_null(b), y.data<float>())) {
    return true;
  }
#ifdef KINTSUGI_HAVE_ONEDNN
  return onednn::conv(shape, in.data<float>(), w.data<float>(), data_or_null(b), y.data<float>());
#else
  return false;
#endif
}

bool conv2d_backward_input(const Tensor& dy, const Tensor& weight, const ops::Conv2dParams& params,
                           const Tensor& dx) {
  if (!takes(dx, dy)) return false;
  const Tensor gradient = dy.channels_last(), w = weight.contiguous();
  const ConvShape shape = shape_of(dx, weight, dy, params);
  if (is_depthwise(shape) &&
      depthwise_backward_input(shape, gradient.data<float>(), w.data<float>(), dx.data<float>())) {
    return true;
  }
#ifdef KINTSUGI_HAVE_ONEDNN
  return onednn::conv_backward_input(shape, gradient.data<float>(), w.data<float>(),
                                     dx.data<float>());
#else
  return false;
#endif
}

bool conv2d_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                            const Tensor& dweight, const Tensor& dbias) {
  if (!takes(x, dy)) return false;
  const Tensor in = x.channels_last(), gradient = dy.channels_last();
  const ConvShape shape = shape_of(x, dweight, dy, params);
  float* const bias = dbias.defined() ? dbias.data<float>() : nullptr;
  if (is_depthwise(shape) &&
      depthwise_backward_weight(shape, in.data<float>(), gradient.data<float>(),
                                dweight.data<float>(), bias)) {
    return true;
  }
#ifdef KINTSUGI_HAVE_ONEDNN
  return onednn::conv_backward_weight(shape, in.data<float>(), gradient.data<float>(),
                                      dweight.data<float>(), bias);
#else
  return false;
#endif
}

}  // namespace kintsugi::cpu

#include "kintsugi/engine/cpu/conv.h"

#include <algorithm>

#include "kintsugi/engine/cpu/conv_shape.h"
#include "kintsugi/engine/cpu/depthwise.h"
#include "kintsugi/engine/cpu/elementwise.h"
#include "kintsugi/engine/cpu/matmul.h"
#include "kintsugi/engine/cpu/parallel.h"
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

// Where weights are many and pixels few, bringing weights into oneDNN's order or their gradient out
// of it costs as much as the convolution: there it is one product over row-major weights.
constexpr int64_t kFewPixels = 128;

bool is_small_product(const ConvShape& s) {
  return s.groups == 1 && s.n * s.oh * s.ow <= kFewPixels;
}

// body(pixel of y, tap, offset of the pixel of x that it sees, or -1 outside)
template <class Body>
void each_tap(const ConvShape& s, int64_t begin, int64_t end, const Body& body) {
  for (int64_t pixel = begin; pixel < end; ++pixel) {
    const int64_t n = pixel / (s.oh * s.ow);
    const int64_t top = pixel / s.ow % s.oh * s.stride_h - s.top;
    const int64_t left = pixel % s.ow * s.stride_w - s.left;
    for (int64_t tap = 0; tap < s.kh * s.kw; ++tap) {
      const int64_t h = top + tap / s.kw * s.dilation_h, w = left + tap % s.kw * s.dilation_w;
      const bool inside = h >= 0 && h < s.h && w >= 0 && w < s.w;
      body(pixel, tap, inside ? ((n * s.h + h) * s.w + w) * s.c : -1);
    }
  }
}

int64_t pixels_of(const ConvShape& s) {
  return s.n * s.oh * s.ow;
}

// A grid of y's shape as (pixels, channels); a weight as (o, c * kh * kw).
Tensor rows(const Tensor& y) {
  return y.permute({0, 2, 3, 1}).view({y.size(0) * y.size(2) * y.size(3), y.size(1)});
}
Tensor rows_of_weight(const Tensor& weight) {
  return weight.view({weight.size(0), weight.numel() / weight.size(0)});
}

// Every pixel sees itself: x is its own unfolding.
bool is_pointwise(const ConvShape& s) {
  return s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && s.oh == s.h && s.ow == s.w;
}

// (pixels of y, c * kh * kw): what each of them sees of x, which is channels last.
Tensor unfolded(const ConvShape& s, const Tensor& grid) {
  if (is_pointwise(s)) return rows(grid);
  const float* const x = grid.data<float>();
  const int64_t taps = s.kh * s.kw;
  const Tensor out = Tensor::empty({pixels_of(s), s.c * taps});
  float* const data = out.data<float>();
  parallel_for(out.size(0), 4, [&](int64_t begin, int64_t end) {
    each_tap(s, begin, end, [&](int64_t pixel, int64_t tap, int64_t at) {
      float* to = data + pixel * s.c * taps + tap;
      for (int64_t c = 0; c < s.c; ++c) to[c * taps] = at < 0 ? 0 : x[at + c];
    });
  });
  return out;
}

// The sum over all pixels that saw it, for every element of x.
void fold(const ConvShape& s, const Tensor& seen, float* x) {
  const int64_t taps = s.kh * s.kw;
  const float* const data = seen.data<float>();
  parallel_for(s.c, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < s.n * s.h * s.w; ++i)
      std::fill(x + i * s.c + begin, x + i * s.c + end, 0.0f);
    each_tap(s, 0, pixels_of(s), [&](int64_t pixel, int64_t tap, int64_t at) {
      if (at < 0) return;
      const float* from = data + pixel * s.c * taps + tap;
      for (int64_t c = begin; c < end; ++c) x[at + c] += from[c * taps];
    });
  });
}

}  // namespace

bool conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ops::Conv2dParams& params, const Tensor& y) {
  if (!takes(x, y)) return false;
  const Tensor in = x.channels_last(), w = weight.contiguous();
  const Tensor b = bias.defined() ? bias.contiguous() : bias;
  ConvShape shape = shape_of(x, weight, y, params);
  shape.relu = params.relu;
  if (is_depthwise(shape) &&
      depthwise(shape, in.data<float>(), w.data<float>(), data_or_null(b), y.data<float>())) {
    return true;
  }
  if (is_small_product(shape)) {
    Tensor out = y;
    return linear(unfolded(shape, in), rows_of_weight(w), b, rows(y)) &&
           (!params.relu || unary(ops::Unary::kRelu, y, out));
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
  if (is_small_product(shape)) {
    const bool pointwise = is_pointwise(shape);
    const Tensor seen =
        pointwise ? rows(dx) : Tensor::empty({pixels_of(shape), w.numel() / shape.o});
    linear_backward({}, rows_of_weight(w), rows(gradient), seen, {}, {});
    if (!pointwise) fold(shape, seen, dx.data<float>());
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
  if (is_small_product(shape)) {
    return linear_backward(unfolded(shape, in), {}, rows(gradient), {}, rows_of_weight(dweight),
                           dbias);
  }
#ifdef KINTSUGI_HAVE_ONEDNN
  return onednn::conv_backward_weight(shape, in.data<float>(), gradient.data<float>(),
                                      dweight.data<float>(), bias);
#else
  return false;
#endif
}

}  // namespace kintsugi::cpu

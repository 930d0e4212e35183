#include "kintsugi/engine/ref/conv.h"

#include "kintsugi/engine/ref/grid.h"

namespace kintsugi::ref {

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ops::Conv2dParams& params, const Tensor& y) {
  visit_floating("conv2d", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Grid<T> in(x), w(weight), out(y);
    const int64_t group_outputs = out.c / params.groups;
    for_each_cell(out, [&](int64_t n, int64_t o, int64_t i, int64_t j) {
      const int64_t first = o / group_outputs * w.c;  // of the group's input channels
      double sum = bias.defined() ? double(bias.data<T>()[o * bias.strides()[0]]) : 0;
      for (int64_t c = 0; c < w.c; ++c) {
        for (int64_t p = 0; p < w.h; ++p) {
          const int64_t row = i * params.stride[0] + p * params.dilation[0] - params.padding[0];
          if (row < 0 || row >= in.h) continue;
          for (int64_t q = 0; q < w.w; ++q) {
            const int64_t column =
                j * params.stride[1] + q * params.dilation[1] - params.padding[2];
            if (column < 0 || column >= in.w) continue;
            sum += double(in(n, first + c, row, column)) * double(w(o, c, p, q));
          }
        }
      }
      out(n, o, i, j) = T(params.relu && sum < 0 ? 0 : sum);
    });
  });
}

void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const ops::Conv2dParams& params,
                           const Tensor& dx) {
  visit_floating("conv2d_backward_input", dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Grid<T> gradient(dy), w(weight), out(dx);
    const int64_t group_outputs = gradient.c / params.groups;
    // Row i of dy reads row i * stride + p * dilation - top of x: which i reads `row` through p?
    const auto reader = [](int64_t position, int64_t tap, int64_t stride, int64_t dilation,
                           int64_t padding, int64_t extent) -> int64_t {
      const int64_t scaled = position + padding - tap * dilation;
      if (scaled < 0 || scaled % stride != 0 || scaled / stride >= extent) return -1;
      return scaled / stride;
    };
    for_each_cell(out, [&](int64_t n, int64_t c, int64_t row, int64_t column) {
      const int64_t first = c / w.c * group_outputs;  // of the group's output channels
      double sum = 0;
      for (int64_t p = 0; p < w.h; ++p) {
        const int64_t i =
            reader(row, p, params.stride[0], params.dilation[0], params.padding[0], gradient.h);
        if (i < 0) continue;
        for (int64_t q = 0; q < w.w; ++q) {
          const int64_t j = reader(column, q, params.stride[1], params.dilation[1],
                                   params.padding[2], gradient.w);
          if (j < 0) continue;
          for (int64_t o = first; o < first + group_outputs; ++o) {
            sum += double(gradient(n, o, i, j)) * double(w(o, c % w.c, p, q));
          }
        }
      }
      out(n, c, row, column) = T(sum);
    });
  });
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                            const Tensor& dweight, const Tensor& dbias) {
  visit_floating("conv2d_backward_weight", dweight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Grid<T> in(x), gradient(dy), dw(dweight);
    const int64_t group_outputs = gradient.c / params.groups;
    for_each_cell(dw, [&](int64_t o, int64_t c, int64_t p, int64_t q) {
      const int64_t channel = o / group_outputs * dw.c + c;
      double sum = 0;
      for (int64_t n = 0; n < in.n; ++n) {
        for (int64_t i = 0; i < gradient.h; ++i) {
          const int64_t row = i * params.stride[0] + p * params.dilation[0] - params.padding[0];
          if (row < 0 || row >= in.h) continue;
          for (int64_t j = 0; j < gradient.w; ++j) {
            const int64_t column =
                j * params.stride[1] + q * params.dilation[1] - params.padding[2];
            if (column < 0 || column >= in.w) continue;
            sum += double(in(n, channel, row, column)) * double(gradient(n, o, i, j));
          }
        }
      }
      dw(o, c, p, q) = T(sum);
    });
    if (!dbias.defined()) return;
    for (int64_t o = 0; o < gradient.c; ++o) {
      double sum = 0;
      for (int64_t n = 0; n < gradient.n; ++n) {
        for (int64_t i = 0; i < gradient.h; ++i) {
          for (int64_t j = 0; j < gradient.w; ++j) sum += double(gradient(n, o, i, j));
        }
      }
      dbias.data<T>()[o] = T(sum);
    }
  });
}

}  // namespace kintsugi::ref

#include "kintsugi/engine/cuda/conv_gemm.h"

#include <limits>
#include <numeric>

#include "kintsugi/engine/cuda/conv_problem.h"
#include "kintsugi/engine/cuda/conv_stage.h"
#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

// Output i of the forward.
Axis forward_axis(const ops::Conv2dParams& params, int axis, const Tensor& x, const Shape& weight,
                  const Tensor& y) {
  const size_t a = size_t(axis);
  return {int(y.size(axis + 2)),
          0,
          1,
          int(weight[axis + 2]),
          int(params.stride[a]),
          -int(params.padding[2 * a]),
          int(params.dilation[a]),
          int(x.size(axis + 2))};
}

// The input cells `phase`, phase + stride, ... : outputs (cell + padding - tap * dilation) / stride
// see them, and only the taps for which that is whole: from `first` on, `every` apart.
struct Phase {
  Axis axis;
  int first;
};
int64_t taps_apart(const ops::Conv2dParams& params, int axis) {
  const size_t a = size_t(axis);
  return params.stride[a] / std::gcd(params.stride[a], params.dilation[a]);
}
Phase backward_axis(const ops::Conv2dParams& params, int axis, int64_t phase, const Tensor& dx,
                    const Shape& weight, const Tensor& dy) {
  const size_t a = size_t(axis);
  const int64_t stride = params.stride[a], dilation = params.dilation[a];
  const int64_t shift = phase + params.padding[2 * a], every = taps_apart(params, axis);
  const int64_t kernel = weight[axis + 2], cells = dx.size(axis + 2);
  int64_t first = 0;
  while (first < std::min(every, kernel) && (shift - first * dilation) % stride != 0) ++first;
  const int64_t taps = first < std::min(every, kernel) ? (kernel - first + every - 1) / every : 0;
  return {{int((cells - phase + stride - 1) / stride), int(phase), int(stride), int(taps), 1,
           taps > 0 ? int((shift - first * dilation) / stride) : 0, -int(every * dilation / stride),
           int(dy.size(axis + 2))},
          taps > 0 ? int(first) : 0};
}

// How many groups a product takes together: as many as fill a tensor core's tile, whose products
// between groups are with zeros.
template <class T>
int64_t merged_groups(int64_t groups, int64_t widest) {
  constexpr int64_t kFull = 32;
  if (std::is_same_v<T, float>) return 1;
  int64_t merged = std::max<int64_t>(1, std::min(groups, kFull / widest));
  while (groups % merged != 0) --merged;
  return merged;
}

// The weight of a convolution; of its gradient where `every` says how far apart the taps of a set
// are.
template <class T>
Order order_of(const Shape& weight, int64_t groups, bool backward, int64_t every_row = 1,
               int64_t every_column = 1) {
  const int64_t inputs = weight[1], outputs = weight[0] / groups;
  Order order;
  order.backward = backward;
  order.rows = {weight[2], every_row};
  order.columns = {weight[3], every_column};
  order.merged = int(merged_groups<T>(groups, std::max(inputs, outputs)));
  order.groups = int(groups / order.merged);
  order.inputs = int(backward ? outputs : inputs);
  order.outputs = int(backward ? inputs : outputs);
  order.padded_inputs = int(padded<T>(order.merged * order.inputs));
  order.padded_outputs = int(padded<T>(order.merged * order.outputs));
  order.block = int(block_of<T>(order.padded_inputs));
  order.by_taps = Divisor(order.taps());
  order.by_block = Divisor(order.block);
  order.by_outputs = Divisor(order.outputs);
  order.by_inputs = Divisor(order.inputs);
  return order;
}

// A Slide but for its axes.
template <class T>
Slide<T> slide_of(const Order& order, const Tensor& source, const Tensor& weight,
                  const Tensor& bias, const Tensor& result) {
  Slide<T> p{};
  p.images = int(result.size(0));
  p.groups = order.groups;
  p.channels = order.padded_inputs;
  p.outputs = order.merged * order.outputs;
  p.block = order.block;
  p.height = int(result.size(2));
  p.width = int(result.size(3));
  p.source = pointer<T>(source);
  p.weight = pointer<T>(weight);
  p.weights = weight.numel() / order.groups;
  p.bias = pointer<float>(bias);
  p.least = -std::numeric_limits<float>::infinity();
  p.result = pointer<T>(result);
  p.padded_outputs = order.padded_outputs;
  return p;
}

template <class T>
void forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
             const ops::Conv2dParams& params, const Tensor& y) {
  constexpr const char* kOp = "conv2d";
  const Order order = order_of<T>(weight.shape(), params.groups, false);
  const Tensor source = staged<T>(kOp, x, order.groups);
  const Tensor taps = staged_weight<T>(kOp, weight, order);
  const Tensor added = bias.defined() ? bias.contiguous() : bias;
  Slide<T> p = slide_of<T>(order, source, taps, added, y);
  if (params.relu) p.least = 0;
  p.rows = forward_axis(params, 0, x, weight.shape(), y);
  p.columns = forward_axis(params, 1, x, weight.shape(), y);
  p.prepare();
  slide(kOp, p);
}

template <class T>
void backward_input(const Tensor& dy, const Tensor& weight, const ops::Conv2dParams& params,
                    const Tensor& dx) {
  constexpr const char* kOp = "conv2d_backward_input";
  const Order order = order_of<T>(weight.shape(), params.groups, true, taps_apart(params, 0),
                                  taps_apart(params, 1));
  const Tensor source = staged<T>(kOp, dy, order.groups);
  const Tensor taps = staged_weight<T>(kOp, weight, order);
  // Cells whose distance is a multiple of the stride are seen by the same taps: one product each.
  for (int64_t i = 0; i < std::min(params.stride[0], dx.size(2)); ++i) {
    for (int64_t j = 0; j < std::min(params.stride[1], dx.size(3)); ++j) {
      const Phase rows = backward_axis(params, 0, i, dx, weight.shape(), dy);
      const Phase columns = backward_axis(params, 1, j, dx, weight.shape(), dy);
      Slide<T> p = slide_of<T>(order, source, taps, {}, dx);
      p.rows = rows.axis;
      p.columns = columns.axis;
      p.weight += int64_t(order.begin(rows.first, columns.first)) * order.padded_outputs;
      p.prepare();
      slide(kOp, p);
    }
  }
}

template <class T>
void backward_weight(const Tensor& any_x, const Tensor& any_dy, const ops::Conv2dParams& params,
                     const Tensor& dweight) {
  constexpr const char* kOp = "conv2d_backward_weight";
  const Order order = order_of<T>(dweight.shape(), params.groups, false);
  const Tensor x = staged<T>(kOp, any_x, order.groups), dy = staged<T>(kOp, any_dy, order.groups);
  Weigh<T> p{};
  p.rows = forward_axis(params, 0, any_x, dweight.shape(), any_dy);
  p.columns = forward_axis(params, 1, any_x, dweight.shape(), any_dy);
  p.images = int(any_x.size(0));
  p.groups = order.groups;
  p.channels = order.padded_inputs;
  p.outputs = order.padded_outputs;
  p.block = order.block;
  p.x = pointer<T>(x);
  p.dy = pointer<T>(dy);
  p.prepare();
  sum_parts(kOp, weigh(kOp, p), order, dweight);
}

}  // namespace

unsigned checked_blocks(const char* op, int64_t blocks) {
  if (blocks > std::numeric_limits<int>::max()) {
    fail(ErrorKind::kShape, op, ": got ", blocks, " tiles, expected fewer than 2^31");
  }
  return unsigned(blocks);
}

bool conv_gemm_takes(const Tensor& x, const Tensor& y) {
  constexpr int64_t kMost = std::numeric_limits<int>::max() - 256;  // a tile's rows, a step's terms
  for (const Tensor* t : {&x, &y}) {
    const int64_t cells = t->size(2) * t->size(3);
    if (cells > kMaxExtent || t->size(0) * cells > kMost) return false;
    if (cells * (t->size(1) * 8) > kMost) return false;  // groups of one channel may be padded to 8
  }
  return true;
}

void conv_gemm(const Tensor& x, const Tensor& weight, const Tensor& bias,
               const ops::Conv2dParams& params, const Tensor& y) {
  visit_storage(x, [&](auto t) { forward<decltype(t)>(x, weight, bias, params, y); });
}

void conv_gemm_backward_input(const Tensor& dy, const Tensor& weight,
                              const ops::Conv2dParams& params, const Tensor& dx) {
  visit_storage(dx, [&](auto t) { backward_input<decltype(t)>(dy, weight, params, dx); });
}

void conv_gemm_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                               const Tensor& dweight) {
  visit_storage(x, [&](auto t) { backward_weight<decltype(t)>(x, dy, params, dweight); });
}

}  // namespace kintsugi::cuda

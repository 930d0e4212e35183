#include "kintsugi/engine/ops/pool.h"

#include <limits>

#include "kintsugi/engine/cpu/pool.h"
#include "kintsugi/engine/cuda/pool.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/pool.h"

namespace kintsugi::ops {

namespace {

int64_t output_extent(const char* op, const char* what, const Pool2dParams& p, int axis,
                      int64_t input) {
  const int64_t kernel = p.kernel[size_t(axis)], stride = p.stride[size_t(axis)];
  const int64_t before = p.padding[size_t(2 * axis)], after = p.padding[size_t(2 * axis + 1)];
  if (kernel < 1 || stride < 1) {
    fail(ErrorKind::kShape, op, ": got kernel ", kernel, " and stride ", stride, " over ", what,
         ", expected at least 1");
  }
  // So that no window lies in padding alone.
  if (before < 0 || after < 0 || before >= kernel || after >= kernel) {
    fail(ErrorKind::kShape, op, ": got padding ", before, " and ", after, " over ", what,
         ", expected 0 to ", kernel - 1, " for a kernel of ", kernel);
  }
  const int64_t room = input + before + after;
  if (input < 1 || kernel > room) {
    fail(ErrorKind::kShape, op, ": the kernel spans ", kernel, " ", what,
         ", expected at most the padded input's ", room);
  }
  const int64_t slack = p.ceil_mode ? stride - 1 : 0;
  int64_t output = (room - kernel + slack) / stride + 1;
  if (p.ceil_mode && (output - 1) * stride >= input + before) --output;
  return output;
}

std::string describe(const Pool2dParams& p) {
  std::ostringstream out;
  out << "kernel=" << p.kernel[0] << ',' << p.kernel[1] << " stride=" << p.stride[0] << ','
      << p.stride[1] << " padding=" << p.padding[0] << ',' << p.padding[1] << ',' << p.padding[2]
      << ',' << p.padding[3] << " ceil_mode=" << p.ceil_mode
      << " count_include_pad=" << p.count_include_pad;
  return out.str();
}

Tensor empty_grid(const Shape& shape, const Tensor& like, DType dtype) {
  return Tensor::empty(shape, dtype, like.device(), MemoryFormat::kChannelsLast);
}
Tensor empty_grid(const Shape& shape, const Tensor& like) {
  return empty_grid(shape, like, like.dtype());
}

void require_grid(const char* op, const Tensor& x) {
  detail::require_floating(op, x);
  detail::require_rank(op, x, 4, "(N,C,H,W)");
}

void require_cells(const char* op, const Shape& x) {
  if (x.rank() != 4 || x[2] < 1 || x[3] < 1) {
    fail(ErrorKind::kShape, op, ": got shape ", x, ", expected (N,C,H,W) with at least one cell");
  }
}

}  // namespace

Pool2dParams Pool2dParams::square(int64_t kernel, int64_t stride, int64_t padding) {
  Pool2dParams params;
  params.kernel = {kernel, kernel};
  params.stride = {stride, stride};
  params.padding = {padding, padding, padding, padding};
  return params;
}

Shape Pool2dParams::output_shape(const char* op, const Shape& x) const {
  if (x.rank() != 4) fail(ErrorKind::kShape, op, ": got shape ", x, ", expected (N,C,H,W)");
  return {x[0], x[1], output_extent(op, "rows", *this, 0, x[2]),
          output_extent(op, "columns", *this, 1, x[3])};
}

MaxPool max_pool2d(const Tensor& x, const Pool2dParams& params) {
  require_grid("max_pool2d", x);
  const Shape shape = params.output_shape("max_pool2d", x.shape());
  if (x.size(2) * x.size(3) > std::numeric_limits<int32_t>::max()) {
    fail(ErrorKind::kShape, "max_pool2d: got shape ", x.shape(),
         ", expected at most 2^31-1 cells an image");
  }
  MaxPool out{empty_grid(shape, x), empty_grid(shape, x, DType::kI32)};
  detail::dispatch({"max_pool2d", {&x}, {&out.output, &out.indices}, 0, describe(params)},
                   KINTSUGI_BACKENDS(max_pool2d(x, params, out.output, out.indices)));
  return out;
}

Tensor max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                           const Pool2dParams& params) {
  constexpr const char* kOp = "max_pool2d_backward";
  require_grid(kOp, dy);
  const Shape shape = params.output_shape(kOp, x_shape);
  detail::require_shape(kOp, "dy", dy, shape);
  detail::require_shape(kOp, "indices", indices, shape);
  if (indices.dtype() != DType::kI32) {
    fail(ErrorKind::kDtype, kOp, ": got indices of ", name_of(indices.dtype()), ", expected i32");
  }
  Tensor dx = empty_grid(x_shape, dy);
  detail::dispatch({kOp, {&dy, &indices}, {&dx}, 0, describe(params)},
                   KINTSUGI_BACKENDS(max_pool2d_backward(dy, indices, params, dx)));
  return dx;
}

Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params) {
  require_grid("avg_pool2d", x);
  Tensor y = empty_grid(params.output_shape("avg_pool2d", x.shape()), x);
  detail::dispatch({"avg_pool2d", {&x}, {&y}, 0, describe(params)},
                   KINTSUGI_BACKENDS(avg_pool2d(x, params, y)));
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dParams& params) {
  constexpr const char* kOp = "avg_pool2d_backward";
  require_grid(kOp, dy);
  detail::require_shape(kOp, "dy", dy, params.output_shape(kOp, x_shape));
  Tensor dx = empty_grid(x_shape, dy);
  detail::dispatch({kOp, {&dy}, {&dx}, 0, describe(params)},
                   KINTSUGI_BACKENDS(avg_pool2d_backward(dy, params, dx)));
  return dx;
}

Tensor adaptive_avg_pool2d(const Tensor& x, int64_t out_h, int64_t out_w) {
  constexpr const char* kOp = "adaptive_avg_pool2d";
  require_grid(kOp, x);
  require_cells(kOp, x.shape());
  if (out_h < 1 || out_w < 1) {
    fail(ErrorKind::kShape, kOp, ": got an output of ", out_h, " by ", out_w,
         " cells, expected at least 1");
  }
  Tensor y = empty_grid({x.size(0), x.size(1), out_h, out_w}, x);
  detail::dispatch({kOp, {&x}, {&y}}, KINTSUGI_BACKENDS(adaptive_avg_pool2d(x, y)));
  return y;
}

Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& x_shape) {
  constexpr const char* kOp = "adaptive_avg_pool2d_backward";
  require_grid(kOp, dy);
  require_cells(kOp, x_shape);
  require_cells(kOp, dy.shape());
  detail::require_shape(kOp, "dy", dy, {x_shape[0], x_shape[1], dy.size(2), dy.size(3)});
  Tensor dx = empty_grid(x_shape, dy);
  detail::dispatch({kOp, {&dy}, {&dx}}, KINTSUGI_BACKENDS(adaptive_avg_pool2d_backward(dy, dx)));
  return dx;
}

}  // namespace kintsugi::ops

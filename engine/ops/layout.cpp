#include "kintsugi/engine/ops/layout.h"

#include <algorithm>
#include <utility>

#include "kintsugi/engine/cpu/layout.h"
#include "kintsugi/engine/cuda/layout.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ops/order.h"
#include "kintsugi/engine/ref/layout.h"

namespace kintsugi::ops {

namespace {

Tensor record_view(const char* op, const Tensor& x, const Tensor& y) {
  detail::dispatch({op, {&x}, {&y}}, [] {});
  return y;
}

// Where one grid is channels last, so is the result.
MemoryFormat format_of(const Tensor& x) {
  return x.is_channels_last() && !x.is_contiguous() ? MemoryFormat::kChannelsLast
                                                    : MemoryFormat::kRowMajor;
}

Tensor empty_as(const Tensor& x, const Shape& shape) {
  return Tensor::empty(shape, x.dtype(), x.device(), format_of(x));
}

std::string describe(const char* what, const Dims& dims) {
  return what + dims.str();
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  if (x.can_view(shape)) return record_view("reshape", x, x.view(shape));
  return record_view("reshape", x, contiguous(x).view(shape));
}
Tensor permute(const Tensor& x, const Dims& dims) {
  return record_view("permute", x, x.permute(dims));
}
Tensor transpose(const Tensor& x, int a, int b) {
  return record_view("transpose", x, x.transpose(a, b));
}
Tensor slice(const Tensor& x, int dim, int64_t start, int64_t stop, int64_t step) {
  return record_view("slice", x, x.slice(dim, start, stop, step));
}
Tensor expand(const Tensor& x, const Shape& shape) {
  return record_view("expand", x, x.expand(shape));
}

Tensor slice_backward(const Tensor& dy, const Shape& x_shape, int dim, int64_t start,
                      int64_t step) {
  dim = normalise_dim("slice_backward", dim, x_shape.rank());
  const int64_t count = dy.rank() == x_shape.rank() ? dy.size(dim) : 0;
  const int64_t stop = count == 0 ? start : start + (count - 1) * step + 1;
  Shape expected = x_shape;
  expected[dim] = count;
  detail::require_shape("slice_backward", "dy", dy, expected);
  if (start < 0 || step < 1 || stop > x_shape[dim]) {
    fail(ErrorKind::kShape, "slice_backward: ", count, " elements from ", start, " in steps of ",
         step, " leave dimension ", dim, " of ", x_shape);
  }
  Tensor dx = empty_as(dy, x_shape);
  detail::dispatch({"slice_backward", {&dy}, {&dx}}, [&] {
    if (step > 1) {
      dx.fill(0);
    } else {
      dx.slice(dim, 0, start).fill(0);
      dx.slice(dim, stop, x_shape[dim]).fill(0);
    }
    dx.slice(dim, start, stop, step).copy_from(dy);
  });
  return dx;
}

Tensor concat(const std::vector<Tensor>& xs, int dim) {
  if (xs.empty()) fail(ErrorKind::kUsage, "concat: got no tensors");
  dim = normalise_dim("concat", dim, xs[0].rank());
  Shape shape = xs[0].shape();
  DType dtype = xs[0].dtype();
  int64_t total = 0;
  for (const Tensor& x : xs) {
    dtype = detail::common_dtype("concat", dtype, x.dtype());
    Shape other = x.shape();
    if (other.rank() == shape.rank()) other[dim] = shape[dim];
    if (other != shape) {
      fail(ErrorKind::kShape, "concat: shapes ", xs[0].shape(), " and ", x.shape(),
           " differ outside dimension ", dim);
    }
    total += x.size(dim);
  }
  shape[dim] = total;
  const auto grid = std::find_if(xs.begin(), xs.end(), [](const Tensor& x) {
    return format_of(x) == MemoryFormat::kChannelsLast;
  });
  Tensor out = Tensor::empty(shape, dtype, xs[0].device(),
                             grid == xs.end() ? MemoryFormat::kRowMajor : format_of(*grid));
  std::vector<const Tensor*> inputs;
  for (const Tensor& x : xs) inputs.push_back(&x);
  detail::dispatch({"concat", inputs, {&out}}, [&] {
    int64_t at = 0;
    for (const Tensor& x : xs) {
      out.slice(dim, at, at + x.size(dim)).copy_from(x);
      at += x.size(dim);
    }
  });
  return out;
}

Tensor pad(const Tensor& x, const std::vector<PadDim>& pads, double value) {
  Shape shape = x.shape();
  Tensor inside = x;
  std::array<bool, kMaxRank> seen{};
  for (const PadDim& p : pads) {
    const int dim = normalise_dim("pad", p.dim, x.rank());
    if (std::exchange(seen[size_t(dim)], true)) {
      fail(ErrorKind::kShape, "pad: dimension ", dim, " is listed twice");
    }
    const int64_t crop = std::max<int64_t>(0, -p.before) + std::max<int64_t>(0, -p.after);
    if (crop > inside.size(dim)) {
      fail(ErrorKind::kShape, "pad: got ", p.before, " and ", p.after, " for dimension ", dim,
           " of ", x.shape(), ", which crops more than there is");
    }
    inside = inside.slice(dim, std::max<int64_t>(0, -p.before),
                          inside.size(dim) - std::max<int64_t>(0, -p.after));
    shape[dim] += p.before + p.after;
  }
  Tensor out = empty_as(x, shape);
  detail::dispatch({"pad", {&x}, {&out}}, [&] {
    // The borders of each dimension in turn, then what is left inside.
    Tensor region = out;
    for (const PadDim& p : pads) {
      const int64_t before = std::max<int64_t>(0, p.before), n = region.size(p.dim);
      const int64_t stop = n - std::max<int64_t>(0, p.after);
      region.slice(p.dim, 0, before).fill(value);
      region.slice(p.dim, stop, n).fill(value);
      region = region.slice(p.dim, before, stop);
    }
    region.copy_from(inside);
  });
  return out;
}

namespace {

// Blocks that a shift cuts in two along each dim are copied one by one.
void roll_into(Tensor dst, const Tensor& src, const Dims& shifts, const Dims& dims, int depth) {
  if (dst.numel() == 0) return;
  if (depth == dims.rank()) return dst.copy_from(src);
  const int dim = int(dims[depth]);
  const int64_t n = src.size(dim), shift = ((shifts[depth] % n) + n) % n;
  roll_into(dst.slice(dim, 0, shift), src.slice(dim, n - shift, n), shifts, dims, depth + 1);
  roll_into(dst.slice(dim, shift, n), src.slice(dim, 0, n - shift), shifts, dims, depth + 1);
}

}  // namespace

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
  if (shifts.rank() != dims.rank()) {
    fail(ErrorKind::kShape, "roll: got ", shifts.rank(), " shifts for ", dims.rank(),
         " dimensions");
  }
  Dims at = dims;
  for (int64_t& dim : at) {
    dim = normalise_dim("roll", int(dim), x.rank());
    if (std::count(at.begin(), &dim, dim) != 0) {
      fail(ErrorKind::kShape, "roll: dimension ", dim, " is listed twice");
    }
  }
  Tensor y = detail::empty_in_order_of(x);
  detail::dispatch({"roll", {&x}, {&y}, 0, describe("shifts=", shifts)},
                   [&] { roll_into(y, x, shifts, at, 0); });
  return y;
}

namespace {

void require_indices(const char* op, const Tensor& indices, int64_t n) {
  if (indices.dtype() != DType::kI64 || indices.rank() != 1) {
    fail(ErrorKind::kDtype, op, ": got indices ", name_of(indices.dtype()), " of shape ",
         indices.shape(), ", expected i64 of rank 1");
  }
  if (indices.device() != kCpu) return;
  const int64_t* values = indices.data<int64_t>();
  for (int64_t i = 0; i < indices.numel(); ++i) {
    const int64_t index = values[i * indices.strides()[0]];
    if (index < 0 || index >= n) {
      fail(ErrorKind::kShape, op, ": index ", index, " at position ", i, ", expected 0 to ", n - 1);
    }
  }
}

}  // namespace

Tensor gather(const Tensor& x, int dim, const Tensor& indices) {
  dim = normalise_dim("gather", dim, x.rank());
  require_indices("gather", indices, x.size(dim));
  Shape shape = x.shape();
  shape[dim] = indices.size(0);
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const Tensor src = x.contiguous(), rows = indices.contiguous();
  detail::dispatch({"gather", {&x, &indices}, {&y}}, KINTSUGI_BACKENDS(gather(src, dim, rows, y)));
  return y;
}

Tensor gather_backward(const Tensor& dy, const Shape& x_shape, int dim, const Tensor& indices) {
  dim = normalise_dim("gather_backward", dim, x_shape.rank());
  require_indices("gather_backward", indices, x_shape[dim]);
  detail::require_floating("gather_backward", dy);
  Shape expected = x_shape;
  expected[dim] = indices.size(0);
  detail::require_shape("gather_backward", "dy", dy, expected);
  const Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  const Tensor diff = dy.contiguous(), rows = indices.contiguous();
  detail::dispatch({"gather_backward", {&dy, &indices}, {&dx}},
                   KINTSUGI_BACKENDS(gather_backward(diff, dim, rows, dx)));
  return dx;
}

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  detail::dispatch({"contiguous", {&x}, {&out}}, [&] { out.copy_from(x); });
  return out;
}
Tensor channels_last(const Tensor& x) {
  if (x.is_channels_last()) return x;
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device(), MemoryFormat::kChannelsLast);
  detail::dispatch({"channels_last", {&x}, {&out}}, [&] { out.copy_from(x); });
  return out;
}
Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor out = detail::empty_in_order_of(x, x.shape(), dtype);
  detail::dispatch({"cast", {&x}, {&out}}, [&] { out.copy_from(x); });
  return out;
}

Tensor grid_to_tokens(const Tensor& x) {
  detail::require_rank("grid_to_tokens", x, 4, "(N,C,H,W)");
  const Tensor y = channels_last(x).permute({0, 2, 3, 1});
  return record_view("grid_to_tokens", x, y.view({x.size(0), x.size(2) * x.size(3), x.size(1)}));
}
Tensor tokens_to_grid(const Tensor& x, int64_t h, int64_t w) {
  detail::require_rank("tokens_to_grid", x, 3, "(N,H*W,C)");
  if (x.size(1) != h * w)
    fail(ErrorKind::kShape, "tokens_to_grid: got ", x.shape(), ", expected ", h * w, " tokens");
  const Tensor y = contiguous(x).view({x.size(0), h, w, x.size(2)}).permute({0, 3, 1, 2});
  return record_view("tokens_to_grid", x, y);
}

}  // namespace kintsugi::ops

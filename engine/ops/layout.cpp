#include "kintsugi/engine/ops/layout.h"

#include "kintsugi/engine/ops/dispatch.h"

namespace kintsugi::ops {

namespace {

Tensor record_view(const char* op, const Tensor& x, const Tensor& y) {
  detail::dispatch({op, {&x}, {&y}}, [] {});
  return y;
}

MemoryFormat format_of(const Tensor& x) {
  return x.rank() == 4 && x.is_channels_last() && !x.is_contiguous() ? MemoryFormat::kChannelsLast : MemoryFormat::kRowMajor;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  if (x.can_view(shape)) return record_view("reshape", x, x.view(shape));
  return contiguous(x).view(shape);
}
Tensor permute(const Tensor& x, const Dims& dims) { return record_view("permute", x, x.permute(dims)); }
Tensor transpose(const Tensor& x, int a, int b) { return record_view("transpose", x, x.transpose(a, b)); }
Tensor slice(const Tensor& x, int dim, int64_t start, int64_t stop, int64_t step) { return record_view("slice", x, x.slice(dim, start, stop, step)); }
Tensor expand(const Tensor& x, const Shape& shape) { return record_view("expand", x, x.expand(shape)); }

Tensor slice_backward(const Tensor& dy, const Shape& x_shape, int dim, int64_t start, int64_t step) {
  Tensor out = Tensor::zeros(x_shape, dy.dtype(), dy.device(), format_of(dy));
  detail::dispatch({"slice_backward", {&dy}, {&out}}, [&] {
    const int64_t n = dy.size(dim);
    out.slice(dim, start, n == 0 ? start : start + (n - 1) * step + 1, step).copy_from(dy);
  });
  return out;
}

Tensor concat(const std::vector<Tensor>& xs, int dim) {
  if (xs.empty()) fail(ErrorKind::kUsage, "concat: got no tensors");
  dim = normalise_dim("concat", dim, xs[0].rank());
  Shape shape = xs[0].shape();
  int64_t total = 0;
  for (const Tensor& x : xs) {
    detail::require_same_dtype("concat", xs[0], x);
    Shape other = x.shape();
    if (other.rank() == shape.rank()) other[dim] = shape[dim];
    if (other != shape) fail(ErrorKind::kShape, "concat: shapes ", xs[0].shape(), " and ", x.shape(), " differ outside dimension ", dim);
    total += x.size(dim);
  }
  shape[dim] = total;
  Tensor out = Tensor::empty(shape, xs[0].dtype(), xs[0].device(), format_of(xs[0]));
  // The recorder takes lists of known length; a concat of many is recorded by its first two.
  const Tensor none;
  detail::dispatch({"concat", {&xs[0], xs.size() > 1 ? &xs[1] : &none}, {&out}}, [&] {
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
  Tensor source = x;
  for (const PadDim& p : pads) {
    const int dim = normalise_dim("pad", p.dim, x.rank());
    shape[dim] += p.before + p.after;
    if (shape[dim] < 0) fail(ErrorKind::kShape, "pad: dimension ", dim, " of ", x.shape(), " would have ", shape[dim], " elements");
  }
  Tensor out = Tensor::empty(shape, x.dtype(), x.device(), format_of(x));
  detail::dispatch({"pad", {&x}, {&out}}, [&] {
    out.fill(value);
    Tensor dst = out;
    for (const PadDim& p : pads) {
      const int dim = normalise_dim("pad", p.dim, x.rank());
      const int64_t from = std::max<int64_t>(0, -p.before), to = source.size(dim) - std::max<int64_t>(0, -p.after);
      source = source.slice(dim, from, std::max(from, to));
      const int64_t at = std::max<int64_t>(0, p.before);
      dst = dst.slice(dim, at, at + source.size(dim));
    }
    if (source.numel() > 0) dst.copy_from(source);
  });
  return out;
}

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
  if (shifts.rank() != dims.rank()) fail(ErrorKind::kShape, "roll: got ", shifts.rank(), " shifts for ", dims.rank(), " dimensions");
  Tensor current = x;
  for (int i = 0; i < dims.rank(); ++i) {
    const int dim = normalise_dim("roll", int(dims[i]), x.rank());
    const int64_t n = x.size(dim);
    const int64_t shift = n == 0 ? 0 : ((shifts[i] % n) + n) % n;
    Tensor out = Tensor::empty_like(current);
    detail::dispatch({"roll", {&current}, {&out}}, [&] {
      out.slice(dim, 0, shift).copy_from(current.slice(dim, n - shift, n));
      out.slice(dim, shift, n).copy_from(current.slice(dim, 0, n - shift));
    });
    current = out;
  }
  return current;
}

namespace {
void check_indices(const Tensor& indices, int64_t n) {
  if (indices.dtype() != DType::kI64 || indices.rank() != 1) fail(ErrorKind::kDtype, "gather: indices must be i64 of rank 1");
  if (indices.is_meta()) return;
  const auto values = indices.to_vector<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) if (values[i] < 0 || values[i] >= n) fail(ErrorKind::kShape, "gather: index ", values[i], " at ", i, ", expected 0 to ", n - 1);
}
}  // namespace

Tensor gather(const Tensor& x, int dim, const Tensor& indices) {
  dim = normalise_dim("gather", dim, x.rank());
  check_indices(indices, x.size(dim));
  Shape shape = x.shape();
  shape[dim] = indices.size(0);
  Tensor out = Tensor::empty(shape, x.dtype(), x.device(), format_of(x));
  detail::dispatch({"gather", {&x, &indices}, {&out}}, [&] {
    const auto rows = indices.to_vector<int64_t>();
    for (size_t i = 0; i < rows.size(); ++i) out.slice(dim, int64_t(i), int64_t(i) + 1).copy_from(x.slice(dim, rows[i], rows[i] + 1));
  });
  return out;
}

Tensor gather_backward(const Tensor& dy, const Shape& x_shape, int dim, const Tensor& indices) {
  dim = normalise_dim("gather", dim, dy.rank());
  Tensor out = Tensor::zeros(x_shape, dy.dtype(), dy.device(), format_of(dy));
  detail::dispatch({"gather_backward", {&dy, &indices}, {&out}}, [&] {
    const auto rows = indices.to_vector<int64_t>();
    visit_floating("gather_backward", dy.dtype(), [&](auto z) {
      using T = decltype(z);
      for (size_t i = 0; i < rows.size(); ++i) {
        const Tensor dst = out.slice(dim, rows[i], rows[i] + 1), src = dy.slice(dim, int64_t(i), int64_t(i) + 1);
        const std::vector<T> a = dst.template to_vector<T>(), b = src.template to_vector<T>();
        std::vector<T> c(a.size());
        for (size_t j = 0; j < c.size(); ++j) c[j] = a[j] + b[j];
        Tensor target = dst;
        target.copy_from(Tensor::from<T>(dst.shape(), c));
      }
    });
  });
  return out;
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
  Tensor out = Tensor::empty(x.shape(), dtype, x.device(), format_of(x));
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
  if (x.size(1) != h * w) fail(ErrorKind::kShape, "tokens_to_grid: got ", x.shape(), ", expected ", h * w, " tokens");
  const Tensor y = contiguous(x).view({x.size(0), h, w, x.size(2)}).permute({0, 3, 1, 2});
  return record_view("tokens_to_grid", x, y);
}

}  // namespace kintsugi::ops

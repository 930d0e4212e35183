#include "kintsugi/engine/core/tensor.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kintsugi/engine/core/visit.h"
#include "kintsugi/engine/cpu/copy.h"
#include "kintsugi/engine/cuda/context.h"

namespace kintsugi {

namespace {

// Dims of extent > 1, from the widest stride to the narrowest.
Dims memory_order(const Shape& shape, const Strides& strides) {
  Dims order;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != 1) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return strides[int(a)] > strides[int(b)]; });
  return order;
}

bool matches(const Shape& shape, const Strides& a, const Strides& b) {
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != 1 && a[i] != b[i]) return false;
  }
  return true;
}

template <class T>
double load(const T& value) {
  if constexpr (std::is_same_v<T, Half>) return f16_to_f32(value.bits);
  else if constexpr (std::is_same_v<T, BFloat16>) return bf16_to_f32(value.bits);
  else return double(value);
}

template <class To, class From>
To convert(const From& value) {
  if constexpr (std::is_same_v<To, From>) return value;
  else if constexpr (std::is_same_v<To, Half>) return Half{f32_to_f16(float(load(value)))};
  else if constexpr (std::is_same_v<To, BFloat16>) return BFloat16{f32_to_bf16(float(load(value)))};
  else if constexpr (std::is_same_v<To, bool>) return load(value) != 0;
  else if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) return To(value);
  else return To(load(value));
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device, MemoryFormat format) {
  Tensor out;
  out.shape_ = shape;
  out.numel_ = shape.numel();
  int64_t bytes = 0;
  if (__builtin_mul_overflow(out.numel_, int64_t(size_of(dtype)), &bytes)) {
    fail(ErrorKind::kMemory, "allocator: shape ", shape, " has more bytes than 64 bits count");
  }
  out.strides_ = format == MemoryFormat::kChannelsLast ? channels_last_strides(shape)
                                                       : contiguous_strides(shape);
  out.dtype_ = dtype;
  out.buffer_ = std::make_shared<Buffer>(size_t(bytes), device);
  return out;
}

Tensor Tensor::empty_like(const Tensor& x) {
  Tensor out = empty(x.shape_, x.dtype_, x.device());
  if (x.is_dense()) out.strides_ = x.strides_;
  return out;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device, MemoryFormat format) {
  Tensor out = empty(shape, dtype, device, format);
  if (out.device() == kCpu) std::memset(out.raw(), 0, out.bytes());
  else out.fill(0);
  return out;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor out = empty(shape, dtype, device);
  out.fill(value);
  return out;
}

Tensor Tensor::borrow(const Shape& shape, DType dtype, const void* data,
                      std::shared_ptr<const void> owner) {
  Tensor out;
  out.shape_ = shape;
  out.numel_ = shape.numel();
  out.strides_ = contiguous_strides(shape);
  out.dtype_ = dtype;
  out.buffer_ = std::make_shared<Buffer>(const_cast<void*>(data), out.bytes(), std::move(owner));
  return out;
}

void* Tensor::raw() const {
  if (defined() && !buffer_->host_accessible()) {
    fail(ErrorKind::kDevice, "tensor: shape ", shape_, " is on ", device(), ", expected cpu");
  }
  if constexpr (cuda::kBuilt) {
    if (defined() && device().type == DeviceType::kCuda) {
      cuda::synchronize("tensor", cuda::current_stream());
    }
  }
  return address();
}

void* Tensor::address() const {
  if (!defined()) fail(ErrorKind::kUsage, "tensor: undefined");
  if (is_meta()) fail(ErrorKind::kDevice, "tensor: shape ", shape_, " is on meta and has no elements");
  return static_cast<std::byte*>(buffer_->data()) + offset_ * int64_t(size_of(dtype_));
}

void* Tensor::checked_data(DType dtype) const {
  if (dtype != dtype_) {
    fail(ErrorKind::kDtype, "tensor: got ", name_of(dtype_), ", expected ", name_of(dtype));
  }
  return raw();
}

bool Tensor::is_contiguous() const {
  return numel_ == 0 || matches(shape_, strides_, contiguous_strides(shape_));
}

bool Tensor::is_channels_last() const {
  return rank() == 4 && (numel_ == 0 || matches(shape_, strides_, channels_last_strides(shape_)));
}

bool Tensor::is_dense() const {
  if (numel_ == 0) return true;
  const Dims order = memory_order(shape_, strides_);
  int64_t expected = 1;
  for (int i = order.rank() - 1; i >= 0; --i) {
    if (strides_[int(order[i])] != expected) return false;
    expected *= shape_[int(order[i])];
  }
  return true;
}

bool Tensor::resolve_view(const Shape& wanted, Shape& resolved, Strides& strides) const {
  resolved = wanted;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < wanted.rank(); ++i) {
    if (wanted[i] == -1 && unknown < 0) unknown = i;
    else known *= wanted[i];
  }
  if (unknown >= 0) {
    if (known <= 0 || numel_ % known != 0) {
      fail(ErrorKind::kShape, "view: shape ", shape_, " does not divide into ", wanted);
    }
    resolved[unknown] = numel_ / known;
  }
  if (resolved.numel() != numel_) {
    fail(ErrorKind::kShape, "view: shape ", shape_, " has ", numel_, " elements, ", wanted, " has ",
         resolved.numel());
  }
  strides = contiguous_strides(resolved);
  if (is_contiguous()) return true;
  // Groups of old dims that lie evenly in memory may be cut anew; a new dim may not span two groups.
  Shape extents;
  Strides steps;
  for (int i = 0; i < rank(); ++i) {
    if (shape_[i] == 1) continue;
    if (extents.rank() > 0 && steps[-1] == strides_[i] * shape_[i]) {
      extents[-1] *= shape_[i];
      steps[-1] = strides_[i];
    } else {
      extents.push_back(shape_[i]);
      steps.push_back(strides_[i]);
    }
  }
  int group = extents.rank() - 1;
  int64_t left = group >= 0 ? extents[group] : 1;
  int64_t step = group >= 0 ? steps[group] : 1;
  for (int i = resolved.rank() - 1; i >= 0; --i) {
    if (resolved[i] == 1) {
      strides[i] = step;
      continue;
    }
    if (left == 1 && group > 0) {
      --group;
      left = extents[group];
      step = steps[group];
    }
    if (left % resolved[i] != 0) return false;
    strides[i] = step;
    step *= resolved[i];
    left /= resolved[i];
  }
  return true;
}

bool Tensor::can_view(const Shape& shape) const {
  Shape resolved;
  Strides strides;
  return resolve_view(shape, resolved, strides);
}

Tensor Tensor::view(const Shape& shape) const {
  Tensor out = *this;
  if (!resolve_view(shape, out.shape_, out.strides_)) {
    fail(ErrorKind::kShape, "view: shape ", shape_, " with strides ", strides_,
         " cannot be viewed as ", shape, " without a copy");
  }
  return out;
}

Tensor Tensor::permute(const Dims& dims) const {
  if (dims.rank() != rank()) {
    fail(ErrorKind::kShape, "permute: got ", dims, " for shape ", shape_);
  }
  Tensor out = *this;
  std::array<bool, kMaxRank> seen{};
  for (int i = 0; i < rank(); ++i) {
    const int from = normalise_dim("permute", int(dims[i]), rank());
    if (seen[from]) fail(ErrorKind::kShape, "permute: dimension ", from, " twice in ", dims);
    seen[from] = true;
    out.shape_[i] = shape_[from];
    out.strides_[i] = strides_[from];
  }
  return out;
}

Tensor Tensor::transpose(int a, int b) const {
  a = normalise_dim("transpose", a, rank());
  b = normalise_dim("transpose", b, rank());
  Tensor out = *this;
  std::swap(out.shape_[a], out.shape_[b]);
  std::swap(out.strides_[a], out.strides_[b]);
  return out;
}

Tensor Tensor::slice(int dim, int64_t start, int64_t stop, int64_t step) const {
  dim = normalise_dim("slice", dim, rank());
  if (start < 0 || stop < start || stop > shape_[dim] || step < 1) {
    fail(ErrorKind::kShape, "slice: got [", start, ":", stop, ":", step, "] of dimension ", dim, " of ",
         shape_);
  }
  Tensor out = *this;
  out.shape_[dim] = (stop - start + step - 1) / step;
  out.offset_ += start * strides_[dim];
  out.strides_[dim] *= step;
  out.numel_ = out.shape_.numel();
  return out;
}

Tensor Tensor::squeeze(int dim) const {
  dim = normalise_dim("squeeze", dim, rank());
  if (shape_[dim] != 1) fail(ErrorKind::kShape, "squeeze: dimension ", dim, " of ", shape_, " is not 1");
  Tensor out = *this;
  out.shape_.erase(dim);
  out.strides_.erase(dim);
  return out;
}

Tensor Tensor::unsqueeze(int dim) const {
  dim = normalise_dim("unsqueeze", dim, rank() + 1);
  Tensor out = *this;
  out.strides_.insert(dim, dim < rank() ? strides_[dim] * shape_[dim] : 1);
  out.shape_.insert(dim, 1);
  return out;
}

Tensor Tensor::expand(const Shape& shape) const {
  if (shape.rank() < rank()) fail(ErrorKind::kShape, "expand: got ", shape, " for shape ", shape_);
  Tensor out = *this;
  out.shape_ = shape;
  out.strides_ = Strides::filled(shape.rank(), 0);
  for (int i = 1; i <= rank(); ++i) {
    if (shape_[-i] != shape[-i] && shape_[-i] != 1) {
      fail(ErrorKind::kShape, "expand: shape ", shape_, " does not expand to ", shape);
    }
    if (shape_[-i] == shape[-i]) out.strides_[-i] = strides_[-i];
  }
  out.numel_ = shape.numel();
  return out;
}

Tensor Tensor::strided(const Shape& shape, const Strides& strides, int64_t offset) const {
  Tensor out = *this;
  out.shape_ = shape;
  out.strides_ = strides;
  out.offset_ = offset_ + offset;
  out.numel_ = shape.numel();
  int64_t last = out.offset_;
  for (int i = 0; i < shape.rank(); ++i) last += (shape[i] - 1) * strides[i];
  if (shape.rank() != strides.rank() || out.offset_ < 0 ||
      (out.numel_ > 0 && size_t(last + 1) * size_of(dtype_) > buffer_->bytes())) {
    fail(ErrorKind::kShape, "strided: ", shape, " with strides ", strides, " leaves the storage");
  }
  return out;
}

Tensor Tensor::contiguous() const {
  if (is_contiguous()) return *this;
  Tensor out = empty(shape_, dtype_, device());
  out.copy_from(*this);
  return out;
}

Tensor Tensor::channels_last() const {
  if (is_channels_last()) return *this;
  Tensor out = empty(shape_, dtype_, device(), MemoryFormat::kChannelsLast);
  out.copy_from(*this);
  return out;
}

Tensor Tensor::clone() const {
  Tensor out = empty_like(*this);
  out.copy_from(*this);
  return out;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor out = empty(shape_, dtype, device());
  if (is_dense()) out.strides_ = strides_;
  out.copy_from(*this);
  return out;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  if constexpr (cuda::kBuilt) {
    if (this->device() == kCpu && device.type == DeviceType::kCuda && is_dense()) {
      cuda::use_device(device.index);
      if (!cuda::capturing(cuda::current_stream())) return cuda::upload(*this);
    }
  }
  Tensor out = empty(shape_, dtype_, device);
  if (is_dense()) out.strides_ = strides_;
  out.copy_from(*this);
  return out;
}

void Tensor::copy_from(const Tensor& src) {
  if (src.shape_ != shape_) {
    fail(ErrorKind::kShape, "copy: got shape ", src.shape_, ", expected ", shape_);
  }
  bump_version();
  if (is_meta()) return;
  if (numel_ == 0) return;
  if (src.is_meta()) fail(ErrorKind::kDevice, "copy: got a tensor on meta, which has no elements");
  if constexpr (cuda::kBuilt) {
    const bool here = device() == kCpu, there = src.device() == kCpu;
    if (!here || !there) return cuda::copy(*this, src);
  }
  if (dtype_ == src.dtype_ && is_dense() && matches(shape_, strides_, src.strides_)) {
    std::memcpy(raw(), src.raw(), bytes());
    return;
  }
  if (dtype_ == src.dtype_) return cpu::copy(*this, src);
  const cpu::Loop<2> loop = cpu::make_loop<2>({this, &src});
  detail::visit_dtype(dtype_, [&](auto to) {
    detail::visit_dtype(src.dtype_, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      cpu::copy_rows(loop, data<To>(), src.data<From>(), convert<To, From>);
    });
  });
}

void Tensor::fill(double value) {
  bump_version();
  if (is_meta() || numel_ == 0) return;
  if constexpr (cuda::kBuilt) {
    if (device() != kCpu) return cuda::fill(*this, value);
  }
  const cpu::Loop<1> loop = cpu::make_loop<1>({this});
  detail::visit_dtype(dtype_, [&](auto to) {
    using To = decltype(to);
    To* dst = data<To>();
    const To element = convert<To>(value);
    const int64_t step = loop.inner_step(0), row = loop.row_step(0);
    cpu::run_loop(loop, 1 << 16, [&](int64_t rows, int64_t n, const std::array<int64_t, 1>& at) {
      for (int64_t r = 0; r < rows; ++r) {
        To* out = dst + at[0] + r * row;
        if (step == 1) std::fill(out, out + n, element);
        else for (int64_t i = 0; i < n; ++i) out[i * step] = element;
      }
    });
  });
}

double Tensor::item() const {
  if (numel_ != 1) fail(ErrorKind::kShape, "item: got shape ", shape_, ", expected one element");
  double value = 0;
  const Tensor here = to(kCpu);
  detail::visit_dtype(dtype_, [&](auto from) { value = load(*here.data<decltype(from)>()); });
  return value;
}

}  // namespace kintsugi

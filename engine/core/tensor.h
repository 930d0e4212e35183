// Tensor: a handle to shared storage with a shape and strides. Copies share; views share.
//
// Shapes are spoken in PyTorch's order, (N,C,H,W) for grids and (N,T,C) for tokens. Memory is row
// major, but for grids it is channels last (N,H,W,C): a grid (N,C,H,W) and tokens (N,H*W,C) are the
// same bytes. Operators return grids channels last whatever they were given.
#pragma once

#include <memory>
#include <vector>

#include "kintsugi/engine/core/buffer.h"
#include "kintsugi/engine/core/device.h"
#include "kintsugi/engine/core/dtype.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/shape.h"

namespace kintsugi {

enum class MemoryFormat : uint8_t { kRowMajor, kChannelsLast };

class Tensor {
 public:
  Tensor() = default;  // undefined: holds nothing; only defined() may be asked
  // Uninitialised elements.
  static Tensor empty(const Shape& shape, DType dtype = DType::kF32, Device device = kCpu,
                      MemoryFormat format = MemoryFormat::kRowMajor);
  // The same shape, dtype, device and (where x is dense) the same order in memory.
  static Tensor empty_like(const Tensor& x);
  static Tensor zeros(const Shape& shape, DType dtype = DType::kF32, Device device = kCpu,
                      MemoryFormat format = MemoryFormat::kRowMajor);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::kF32,
                     Device device = kCpu);
  // Copies `values` (row major) into a new tensor on the CPU.
  template <class T>
  static Tensor from(const Shape& shape, const std::vector<T>& values);
  // Borrows bytes (row major) that `owner` keeps alive; such a tensor is read only.
  static Tensor borrow(const Shape& shape, DType dtype, const void* data,
                       std::shared_ptr<const void> owner);

  bool defined() const { return buffer_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }  // in elements
  int64_t size(int dim) const { return shape_[dim]; }
  int rank() const { return shape_.rank(); }
  int64_t numel() const { return numel_; }
  DType dtype() const { return dtype_; }
  Device device() const { return buffer_ ? buffer_->device() : kCpu; }
  bool is_meta() const { return device().type == DeviceType::kMeta; }
  size_t bytes() const { return size_t(numel_) * size_of(dtype_); }

  // The first element; an Error for tensors that the host cannot reach (meta, cuda) and for a T that
  // is not the tensor's dtype.
  template <class T>
  T* data() const {
    return static_cast<T*>(checked_data(DTypeOf<T>::value));
  }
  void* raw() const;
  // The first element on whatever device it is; an Error for meta tensors.
  void* address() const;

  bool is_contiguous() const;     // row major without gaps
  bool is_channels_last() const;  // rank 4, memory N,H,W,C without gaps
  bool is_dense() const;          // the elements fill their memory without gaps, in some order of dims

  // Views: no bytes move; an Error where the strides do not allow the view.
  Tensor view(const Shape& shape) const;  // one extent may be -1
  bool can_view(const Shape& shape) const;
  Tensor permute(const Dims& dims) const;
  Tensor transpose(int a, int b) const;
  Tensor slice(int dim, int64_t start, int64_t stop, int64_t step = 1) const;  // step > 0
  Tensor squeeze(int dim) const;
  Tensor unsqueeze(int dim) const;
  Tensor expand(const Shape& shape) const;  // extents of 1 repeat with stride 0
  Tensor strided(const Shape& shape, const Strides& strides, int64_t offset) const;

  // The elements in row-major (channels-last) order: this tensor where it is so already, else a copy.
  Tensor contiguous() const;
  Tensor channels_last() const;
  Tensor clone() const;           // a copy with the same order in memory where dense
  Tensor to(DType dtype) const;   // converted; this tensor where the dtype is the same
  Tensor to(Device device) const;  // moved; this tensor where it is there already
  // The same shape, any strides, dtype and device; bumps the version.
  void copy_from(const Tensor& src);
  void fill(double value);

  // The only element of a tensor of one element, as double.
  double item() const;
  // All elements in row-major order, converted.
  template <class T>
  std::vector<T> to_vector() const;

  uint64_t version() const { return buffer_->version(); }
  void bump_version() const { buffer_->bump_version(); }
  bool shares_storage_with(const Tensor& other) const { return buffer_ == other.buffer_; }
  const void* storage() const { return buffer_.get(); }  // names the storage
  int64_t offset() const { return offset_; }

 private:
  void* checked_data(DType dtype) const;
  bool resolve_view(const Shape& shape, Shape& resolved, Strides& strides) const;

  std::shared_ptr<Buffer> buffer_;
  Shape shape_;
  Strides strides_;
  int64_t offset_ = 0;
  int64_t numel_ = 0;
  DType dtype_ = DType::kF32;
};

// Calls `fn` with a value of the C++ type of a compute dtype (float or double).
template <class F>
void visit_floating(const char* op, DType dtype, F&& fn) {
  if (dtype == DType::kF32) {
    fn(float{});
  } else if (dtype == DType::kF64) {
    fn(double{});
  } else {
    fail(ErrorKind::kDtype, op, ": got ", name_of(dtype), ", expected f32 or f64");
  }
}

template <class T>
Tensor Tensor::from(const Shape& shape, const std::vector<T>& values) {
  if (shape.numel() != int64_t(values.size())) {
    fail(ErrorKind::kShape, "from: got ", values.size(), " values for shape ", shape);
  }
  Tensor out = empty(shape, DTypeOf<T>::value);
  std::copy(values.begin(), values.end(), out.data<T>());
  return out;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor dense = to(kCpu).to(DTypeOf<T>::value).contiguous();
  if (numel_ == 0) return {};
  return std::vector<T>(dense.data<T>(), dense.data<T>() + numel_);
}

}  // namespace kintsugi

// NumPy's .npy files, versions 1 to 3
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::zoo {

// A mapped .npy file: header checked, the data's length equal to what the header says.
// Little-endian f2 f4 f8 i4 i8 u1 b1; everything else is refused by its name (kFormat), big endian
// too.
class NpyFile {
 public:
  static NpyFile open(const std::filesystem::path& path);
  // The same of bytes that `owner` keeps alive; `name` begins messages.
  NpyFile(std::span<const std::byte> bytes, std::string name, std::shared_ptr<const void> owner);

  const std::string& path() const { return name_; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  bool fortran_order() const { return fortran_order_; }
  std::span<const std::byte> bytes() const { return bytes_; }  // as stored
  Tensor tensor() const;                                       // a row-major copy

 private:
  std::shared_ptr<const void> owner_;
  std::string name_;
  std::span<const std::byte> bytes_;
  Shape shape_;
  DType dtype_ = DType::kF32;
  bool fortran_order_ = false;
};

inline Tensor read_npy(const std::filesystem::path& path) {
  return NpyFile::open(path).tensor();
}

// Row major, version 1.0, atomically; any strides. bf16 is refused:
// NumPy has no such type.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace kintsugi::zoo

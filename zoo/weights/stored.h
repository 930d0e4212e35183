// A tensor as it lies in a file, and how it becomes one of the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::zoo {

// Every dtype that a file may hold; what the engine cannot store stays listed and is refused by
// name when a tensor is asked for.
enum class StoredDType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kF8E8M0
};

std::string_view name_of(StoredDType dtype);  // as safetensors has it: "F32", "BF16", "F8_E4M3"
size_t size_of(StoredDType dtype);            // bytes of one element
std::optional<StoredDType> stored_dtype(std::string_view name);
StoredDType stored_dtype(DType dtype);

struct StoredTensor {
  StoredDType dtype = StoredDType::kF32;
  std::vector<int64_t> shape;        // empty for a scalar
  std::span<const std::byte> bytes;  // row major, little endian; maybe not aligned to the element
};

// Bytes of a tensor; nothing where an extent is negative or the product overflows.
std::optional<uint64_t> bytes_of(const std::vector<int64_t>& shape, StoredDType dtype);

// A row-major copy on the CPU. Integers that the engine cannot store widen without loss (i8, i16,
// u16 to i32; u32 to i64; u64 to i64 where it fits); halves become f32 where that is asked for; F8
// is refused (kDtype). `where` begins messages.
Tensor to_tensor(const std::string& where, const StoredTensor& stored, bool widen_halves);

}  // namespace kintsugi::zoo

#include "kintsugi/zoo/weights/stored.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace kintsugi::zoo {

namespace {

struct DTypeRow {
  StoredDType dtype;
  std::string_view name;
  size_t size;
};
constexpr std::array<DTypeRow, 18> kDTypes = {{
    {StoredDType::kF64, "F64", 8},
    {StoredDType::kF32, "F32", 4},
    {StoredDType::kF16, "F16", 2},
    {StoredDType::kBF16, "BF16", 2},
    {StoredDType::kI64, "I64", 8},
    {StoredDType::kI32, "I32", 4},
    {StoredDType::kI16, "I16", 2},
    {StoredDType::kI8, "I8", 1},
    {StoredDType::kU64, "U64", 8},
    {StoredDType::kU32, "U32", 4},
    {StoredDType::kU16, "U16", 2},
    {StoredDType::kU8, "U8", 1},
    {StoredDType::kBool, "BOOL", 1},
    {StoredDType::kF8E4M3, "F8_E4M3", 1},
    {StoredDType::kF8E5M2, "F8_E5M2", 1},
    {StoredDType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 1},
    {StoredDType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 1},
    {StoredDType::kF8E8M0, "F8_E8M0", 1},
}};

const DTypeRow& row_of(StoredDType dtype) {
  return *std::find_if(kDTypes.begin(), kDTypes.end(),
                       [&](const DTypeRow& row) { return row.dtype == dtype; });
}

// Elements of a file need not be aligned, so they are copied out one by one.
template <class From, class To, class Convert>
Tensor convert(const StoredTensor& stored, const Shape& shape, const Convert& to) {
  Tensor out = Tensor::empty(shape, DTypeOf<To>::value);
  To* dst = out.data<To>();
  const std::byte* src = stored.bytes.data();
  for (int64_t i = 0, n = out.numel(); i < n; ++i, src += sizeof(From)) {
    From value;
    std::memcpy(&value, src, sizeof value);
    dst[i] = to(value);
  }
  return out;
}

template <class From, class To>
Tensor widen(const StoredTensor& stored, const Shape& shape) {
  return convert<From, To>(stored, shape, [](From value) { return static_cast<To>(value); });
}

Tensor copy(const StoredTensor& stored, const Shape& shape, DType dtype) {
  Tensor out = Tensor::empty(shape, dtype);
  if (!stored.bytes.empty()) std::memcpy(out.raw(), stored.bytes.data(), stored.bytes.size());
  return out;
}

}  // namespace

std::string_view name_of(StoredDType dtype) {
  return row_of(dtype).name;
}
size_t size_of(StoredDType dtype) {
  return row_of(dtype).size;
}

std::optional<StoredDType> stored_dtype(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

StoredDType stored_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return StoredDType::kF32;
    case DType::kF64:
      return StoredDType::kF64;
    case DType::kF16:
      return StoredDType::kF16;
    case DType::kBF16:
      return StoredDType::kBF16;
    case DType::kI64:
      return StoredDType::kI64;
    case DType::kI32:
      return StoredDType::kI32;
    case DType::kU8:
      return StoredDType::kU8;
    case DType::kBool:
      return StoredDType::kBool;
  }
  fail(ErrorKind::kDtype, "safetensors: got an unknown dtype");
}

std::optional<uint64_t> bytes_of(const std::vector<int64_t>& shape, StoredDType dtype) {
  uint64_t bytes = size_of(dtype);
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, uint64_t(extent), &bytes)) return std::nullopt;
  }
  return bytes;
}

Tensor to_tensor(const std::string& where, const StoredTensor& stored, bool widen_halves) {
  if (stored.shape.size() > size_t(kMaxRank)) {
    fail(ErrorKind::kFormat, where, ": got ", stored.shape.size(), " dimensions, expected at most ",
         kMaxRank);
  }
  const Shape shape{std::span<const int64_t>(stored.shape)};
  switch (stored.dtype) {
    case StoredDType::kF64:
      return copy(stored, shape, DType::kF64);
    case StoredDType::kF32:
      return copy(stored, shape, DType::kF32);
    case StoredDType::kF16:
      if (!widen_halves) return copy(stored, shape, DType::kF16);
      return convert<uint16_t, float>(stored, shape, f16_to_f32);
    case StoredDType::kBF16:
      if (!widen_halves) return copy(stored, shape, DType::kBF16);
      return convert<uint16_t, float>(stored, shape, bf16_to_f32);
    case StoredDType::kI64:
      return copy(stored, shape, DType::kI64);
    case StoredDType::kI32:
      return copy(stored, shape, DType::kI32);
    case StoredDType::kU8:
      return copy(stored, shape, DType::kU8);
    case StoredDType::kI16:
      return widen<int16_t, int32_t>(stored, shape);
    case StoredDType::kI8:
      return widen<int8_t, int32_t>(stored, shape);
    case StoredDType::kU16:
      return widen<uint16_t, int32_t>(stored, shape);
    case StoredDType::kU32:
      return widen<uint32_t, int64_t>(stored, shape);
    case StoredDType::kU64:
      return convert<uint64_t, int64_t>(stored, shape, [&](uint64_t value) {
        if (value > uint64_t(INT64_MAX)) {
          fail(ErrorKind::kDtype, where, ": got ", value, ", expected what 63 bits hold");
        }
        return int64_t(value);
      });
    case StoredDType::kBool:
      return convert<uint8_t, bool>(stored, shape, [](uint8_t value) { return value != 0; });
    default:
      fail(ErrorKind::kDtype, where, ": got ", name_of(stored.dtype),
           ", which the engine cannot compute in; expected F32, F16, BF16 or F64");
  }
}

}  // namespace kintsugi::zoo

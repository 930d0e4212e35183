// Element types. Compute runs in f32 and f64, on a device in bf16 too (sums f32); the others store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kintsugi {

enum class DType : uint8_t { kF32, kF64, kF16, kBF16, kI64, kI32, kU8, kBool };

size_t size_of(DType dtype);            // bytes of one element
std::string_view name_of(DType dtype);  // "f32", "bf16", "bool", ...

inline bool is_floating(DType dtype) { return dtype <= DType::kBF16; }

// Mixed precision: what weights, statistics and their gradients are beside such activations.
inline DType parameter_dtype(DType activations) {
  return activations == DType::kBF16 ? DType::kF32 : activations;
}

// IEEE binary16 and bfloat16, round to nearest even; NaN stays NaN.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);

// Storage of the two half formats: distinct types, so that Tensor::data<T>() can tell them apart.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::kF16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBF16;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kI64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kU8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};

}  // namespace kintsugi

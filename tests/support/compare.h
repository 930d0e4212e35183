// Random tensors and comparison, for tests of every room.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/random.h"
#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::test {

// Where the tests' tensors live: the engine's tests are built a second time for a CUDA device.
#ifdef KINTSUGI_TEST_CUDA
inline constexpr Device kTestDevice{DeviceType::kCuda, 0};
#else
inline constexpr Device kTestDevice = kCpu;
#endif

// Whether that device is the emulated one.
#ifdef KINTSUGI_TEST_EMULATED
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif

// Inputs are the same from run to run, but where KINTSUGI_TEST_SEED, a number, asks for fresh ones.
inline uint64_t run_seed() {
  static const char* const text = std::getenv("KINTSUGI_TEST_SEED");
  return text ? std::strtoull(text, nullptr, 10) << 20 : 0;
}

inline Tensor random_tensor(const Shape& shape, uint64_t seed, double low = -1, double high = 1,
                            DType dtype = DType::kF64) {
  Tensor x = Tensor::empty(shape, dtype, kTestDevice);
  Generator(run_seed() + seed).uniform(x, low, high);
  return x;
}

// Tensor's makers, on the tests' device.
namespace make {

inline Tensor empty(const Shape& shape, DType dtype = DType::kF32,
                    MemoryFormat format = MemoryFormat::kRowMajor) {
  return Tensor::empty(shape, dtype, kTestDevice, format);
}
inline Tensor zeros(const Shape& shape, DType dtype = DType::kF32,
                    MemoryFormat format = MemoryFormat::kRowMajor) {
  return Tensor::zeros(shape, dtype, kTestDevice, format);
}
inline Tensor full(const Shape& shape, double value, DType dtype = DType::kF32) {
  return Tensor::full(shape, value, dtype, kTestDevice);
}
template <class T>
Tensor from(const Shape& shape, const std::vector<T>& values) {
  return Tensor::from(shape, values).to(kTestDevice);
}

}  // namespace make

// max |got - want| / max(1, max |want|); NaN and infinity where only one has them count as infinite.
// Of sums of many terms, sqrt(terms) stands for the 1: they may cancel, and rounding does not.
inline double error_of(const Tensor& got, const Tensor& want, int64_t terms = 1) {
  REQUIRE(got.shape() == want.shape());
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  double error = 0, scale = std::sqrt(double(std::max<int64_t>(terms, 1)));
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isfinite(b[i])) scale = std::max(scale, std::abs(b[i]));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;
    const double difference = std::abs(a[i] - b[i]);
    error = std::isfinite(difference) ? std::max(error, difference / scale) : INFINITY;
  }
  return error;
}

// What activations may lie in memory as on the tests' device, and what rounding a result to it costs
// at most, relative to the largest.
struct Storage {
  DType dtype;
  double rounding;
};
inline std::vector<Storage> storages() {
  if (kTestDevice == kCpu) return {{DType::kF32, 0}};
  return {{DType::kF32, 0}, {DType::kBF16, 0x1p-8}};
}

// Runs `fn` with reference kernels only.
template <class F>
auto with_reference(F&& fn) {
  ScopedSet reference(Context::current().reference_only, true);
  return fn();
}

}  // namespace kintsugi::test

// CHECKs that evaluate to an Error whose text contains `part`.
#define CHECK_ERROR(expression, part)                                   \
  do {                                                                  \
    std::string text_;                                                  \
    try {                                                               \
      (void)(expression);                                               \
    } catch (const kintsugi::Error& error_) {                           \
      text_ = error_.what();                                            \
    }                                                                   \
    CHECK_MESSAGE(text_.find(part) != std::string::npos, "got: '" << text_ << "'"); \
  } while (false)

#include "kintsugi/engine/core/dtype.h"

#include <bit>
#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;

TEST_CASE("dtype: every half number survives the way through f32") {
  int nans = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint16_t half = uint16_t(bits);
    const float f = f16_to_f32(half), b = bf16_to_f32(half);
    if (std::isnan(f)) {
      ++nans;
      CHECK(std::isnan(f16_to_f32(f32_to_f16(f))));
    } else if (f32_to_f16(f) != half) {
      FAIL_CHECK("f16 " << half);
    }
    if (std::isnan(b))
      CHECK(std::isnan(bf16_to_f32(f32_to_bf16(b))));
    else if (f32_to_bf16(b) != half)
      FAIL_CHECK("bf16 " << half);
  }
  CHECK(nans == 2 * 1023);
}

TEST_CASE("dtype: values between two half numbers go to the nearest, ties to the even one") {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float low = f16_to_f32(uint16_t(bits));
    const bool top = bits == 0x7bff;  // above it lies infinity, as if 65536
    const float high = top ? 65536.0f : f16_to_f32(uint16_t(bits + 1));
    const float middle = (low + high) / 2;
    const uint16_t even = bits % 2 ? uint16_t(bits + 1) : uint16_t(bits);
    const bool right = f32_to_f16(middle) == even &&
                       f32_to_f16(std::nextafter(middle, 0.0f)) == bits &&
                       f32_to_f16(std::nextafter(middle, 1e9f)) == bits + 1;
    if (!right) FAIL_CHECK("f16 " << bits);
  }
  for (uint32_t bits = 0; bits < 0x7f80; bits += 7) {
    const uint32_t middle = bits << 16 | 0x8000;
    const uint16_t even = bits % 2 ? uint16_t(bits + 1) : uint16_t(bits);
    const bool right = f32_to_bf16(std::bit_cast<float>(middle)) == even &&
                       f32_to_bf16(std::bit_cast<float>(middle - 1)) == bits &&
                       f32_to_bf16(std::bit_cast<float>(middle + 1)) == bits + 1;
    if (!right) FAIL_CHECK("bf16 " << bits);
  }
  CHECK(f32_to_f16(1e30f) == 0x7c00);
  CHECK(f32_to_f16(-1e30f) == 0xfc00);
  CHECK(f32_to_f16(1e-30f) == 0);
}

TEST_CASE("dtype: names and sizes") {
  CHECK(name_of(DType::kBF16) == "bf16");
  CHECK(name_of(DType::kBool) == "bool");
  CHECK(size_of(DType::kI64) == 8);
  CHECK(size_of(DType::kF16) == 2);
  CHECK(is_floating(DType::kBF16));
  CHECK(!is_floating(DType::kI64));
}

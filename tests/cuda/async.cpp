#include "tests/cuda/async.h"

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("async: copies of 16 bytes, of fewer and of none, in two groups") {
  constexpr int64_t kRows = 96;
  const Tensor x = random_tensor({kRows, 8}, 1).to(DType::kBF16);
  std::vector<int32_t> count(kRows);
  for (size_t i = 0; i < kRows; ++i) count[i] = int32_t(i * 5 % 9);
  Tensor y = make::empty({kRows, 8}, DType::kBF16);
  copy_rows(x, make::from<int32_t>({kRows}, count), y);
  const auto from = x.to_vector<float>(), got = y.to_vector<float>();
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == (int32_t(i % 8) < count[i / 8] ? from[i] : 0));
  }
}

TEST_CASE("async: ldmatrix hands each lane its two elements of four matrices") {
  const Tensor x = random_tensor({4, 8, 8}, 1).to(DType::kBF16);
  const auto from = x.to_vector<float>();
  for (const bool transposed : {false, true}) {
    CAPTURE(transposed);
    Tensor y = make::empty({32, 8}, DType::kBF16);
    load_fragments(x, y, transposed);
    const auto got = y.to_vector<float>();
    for (size_t lane = 0; lane < 32; ++lane) {
      for (size_t i = 0; i < 4; ++i) {
        for (size_t k = 0; k < 2; ++k) {
          const size_t a = lane / 4, b = lane % 4 * 2 + k;
          CHECK(got[lane * 8 + i * 2 + k] == from[i * 64 + (transposed ? b * 8 + a : a * 8 + b)]);
        }
      }
    }
  }
}

#include "kintsugi/engine/ops/loss.h"

#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("loss: cross entropy of hand-made logits") {
  // softmax of (log 1, log 2, log 5) is (1, 2, 5) / 8.
  const Tensor logits = make::from<double>({1, 3}, {0, std::log(2.0), std::log(5.0)});
  const Tensor label = make::from<int64_t>({1}, {1});
  const auto plain = ops::cross_entropy(logits, label);
  CHECK(plain.loss.shape() == Shape{});
  CHECK(plain.loss.item() == doctest::Approx(std::log(4.0)));
  CHECK(error_of(plain.probabilities, make::from<double>({1, 3}, {0.125, 0.25, 0.625})) < 1e-15);
  const double logs = std::log(8.0) + std::log(4.0) + std::log(1.6);
  CHECK(ops::cross_entropy(logits, label, 0.3).loss.item() ==
        doctest::Approx(0.7 * std::log(4.0) + 0.1 * logs));
  const Tensor soft = make::from<double>({1, 3}, {0.5, 0, 0.5});
  CHECK(ops::cross_entropy(logits, soft).loss.item() ==
        doctest::Approx(0.5 * std::log(8.0) + 0.5 * std::log(1.6)));
  const Tensor one = make::full({}, 1, DType::kF64);
  CHECK(error_of(ops::cross_entropy_backward(plain, label, 0, one),
                 make::from<double>({1, 3}, {0.125, -0.75, 0.625})) < 1e-15);
}

TEST_CASE("loss: f32 agrees with f64, hard and soft, in any layout") {
  Context::current().fallbacks.clear();
  for (const Shape& shape :
       {Shape{1, 1}, Shape{3, 10}, Shape{65, 33}, Shape{7, 1000}, Shape{2, 25001}, Shape{300, 2}}) {
    const Tensor x = random_tensor(shape, 1, -30, 30);
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < shape[0]; ++i) labels.push_back((i * 7 + 3) % shape[1]);
    const Tensor hard = make::from<int64_t>({shape[0]}, labels);
    const Tensor soft = random_tensor(shape, 2, 0, 2 / double(shape[1]));
    const Tensor d = make::full({}, 0.7, DType::kF64), df = d.to(DType::kF32);
    for (const double s : {0.0, 0.1}) {
      const auto want = ops::cross_entropy(x, hard, s);
      const Tensor f = x.to(DType::kF32);
      for (const Tensor& a : {f, f.transpose(0, 1).contiguous().transpose(0, 1)}) {
        const auto got = ops::cross_entropy(a, hard, s);
        CHECK(got.loss.item() == doctest::Approx(want.loss.item()).epsilon(1e-6));
        CHECK(error_of(got.probabilities, want.probabilities) < 1e-6);
        CHECK(error_of(ops::cross_entropy_backward(got, hard, s, df),
                       ops::cross_entropy_backward(want, hard, s, d)) < 1e-6);
      }
    }
    const auto want = ops::cross_entropy(x, soft);
    const auto got = ops::cross_entropy(x.to(DType::kF32), soft.to(DType::kF32));
    CHECK(got.loss.item() == doctest::Approx(want.loss.item()).epsilon(1e-5));
    CHECK(error_of(ops::cross_entropy_backward(got, soft.to(DType::kF32), 0, df),
                   ops::cross_entropy_backward(want, soft, 0, d)) < 1e-6);
  }
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("loss: large logits do not overflow, impossible classes with no weight cost nothing") {
  const Tensor x = make::from<float>({2, 3}, {1000, 0, -1000, -1000, 1000, 0});
  const Tensor labels = make::from<int64_t>({2}, {0, 0});
  CHECK(ops::cross_entropy(x, labels).loss.item() == doctest::Approx(1000));
  const Tensor masked = make::from<float>({1, 2}, {3, -INFINITY});
  CHECK(ops::cross_entropy(masked, make::from<int64_t>({1}, {0})).loss.item() == 0);
  const Tensor nan = make::from<float>({1, 2}, {NAN, 0});
  CHECK(std::isnan(ops::cross_entropy(nan, make::from<int64_t>({1}, {1})).loss.item()));
}

TEST_CASE("loss: errors") {
  const Tensor x = make::zeros({2, 3});
  const Tensor beyond = make::from<int64_t>({2}, {0, 3}), before = make::from<int64_t>({2}, {-1, 0});
  if (kTestDevice == kCpu) {
    CHECK_ERROR(ops::cross_entropy(x, beyond),
                "cross_entropy: label 3 at 1, expected 0 to 2");
    CHECK_ERROR(ops::cross_entropy(x, before), "label -1 at 0");
  } else {
    CHECK(std::isnan(ops::cross_entropy(x, beyond).loss.item()));
    CHECK(std::isnan(ops::cross_entropy(x, before).loss.item()));
  }
  CHECK_ERROR(ops::cross_entropy(x, make::from<int64_t>({3}, {0, 1, 2})),
              "targets has shape (3), expected (2)");
  CHECK_ERROR(ops::cross_entropy(x, make::zeros({2, 2})), "targets has shape (2,2)");
  CHECK_ERROR(ops::cross_entropy(x, x, 0.1), "soft targets take no smoothing");
  CHECK_ERROR(ops::cross_entropy(x, make::from<int64_t>({2}, {0, 1}), 1.5), "smoothing 1.5");
  CHECK_ERROR(ops::cross_entropy(make::zeros({0, 3}), make::zeros({0}, DType::kI64)),
              "cross_entropy: got logits (0,3)");
  CHECK_ERROR(ops::cross_entropy(x, x.to(DType::kF64)), "cross_entropy: got f32 and f64");
  const Tensor labels = make::from<int64_t>({2}, {0, 1});
  const auto forward = ops::cross_entropy(x, labels);
  CHECK_ERROR(ops::cross_entropy_backward(forward, labels, 0, make::zeros({2})),
              "cross_entropy_backward: dloss has shape (2), expected one element");
}

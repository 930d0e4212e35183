#include "kintsugi/engine/ops/optimize.h"

#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

Tensor number(double value, DType dtype = DType::kF64) {
  return make::full({1}, value, dtype);
}

}  // namespace

TEST_CASE("optimize: SGD steps worked out by hand") {
  Tensor p = number(1), none;
  ops::sgd_step(p, number(2), none, {.lr = 0.1});
  CHECK(p.item() == doctest::Approx(0.8));
  ops::sgd_step(p, number(2), none, {.lr = 0.1, .weight_decay = 0.5});
  CHECK(p.item() == doctest::Approx(0.8 - 0.1 * 2.4));
  Tensor q = number(1), v = number(0);
  ops::sgd_step(q, number(2), v, {.lr = 0.1, .momentum = 0.9});
  ops::sgd_step(q, number(1), v, {.lr = 0.1, .momentum = 0.9});
  CHECK(v.item() == doctest::Approx(2.8));
  CHECK(q.item() == doctest::Approx(1 - 0.2 - 0.28));
  Tensor r = number(1), w = number(0);
  ops::sgd_step(r, number(2), w, {.lr = 0.1, .momentum = 0.9, .nesterov = true});
  CHECK(r.item() == doctest::Approx(1 - 0.1 * (2 + 0.9 * 2)));
}

TEST_CASE("optimize: AdamW follows its paper over several steps") {
  Tensor p = number(1), m = number(0), v = number(0);
  double want = 1, wm = 0, wv = 0;
  for (int64_t t = 1; t <= 5; ++t) {
    const double g = 0.3 * double(t) - 0.7;
    ops::adamw_step(p, number(g), m, v, {.lr = 0.01, .weight_decay = 0.1, .t = t});
    want *= 1 - 0.01 * 0.1;
    wm = 0.9 * wm + 0.1 * g;
    wv = 0.999 * wv + 0.001 * g * g;
    const double mh = wm / (1 - std::pow(0.9, double(t))),
                 vh = wv / (1 - std::pow(0.999, double(t)));
    want -= 0.01 * mh / (std::sqrt(vh) + 1e-8);
    CHECK(p.item() == doctest::Approx(want).epsilon(1e-12));
  }
}

TEST_CASE("optimize: f32 agrees with f64, gradients in another order of memory, odd sizes") {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{33, 5}, Shape{3, 17, 3, 3}, Shape{70001}}) {
    const Tensor p0 = random_tensor(shape, 1), g0 = random_tensor(shape, 2);
    const Tensor m0 = random_tensor(shape, 3), v0 = random_tensor(shape, 4, 0, 1);
    const auto run = [&](DType dtype, bool turned) {
      Tensor g = g0.to(dtype);
      if (turned) g = g.transpose(0, -1).contiguous().transpose(0, -1);
      std::vector<Tensor> out;
      for (int kind = 0; kind < 4; ++kind) {
        Tensor p = p0.to(dtype).clone(), m = m0.to(dtype).clone(), v = v0.to(dtype).clone(), none;
        const uint64_t version = p.version();
        if (kind == 0) ops::sgd_step(p, g, none, {.lr = 0.1, .weight_decay = 0.01});
        if (kind == 1) ops::sgd_step(p, g, m, {.lr = 0.1, .momentum = 0.9, .nesterov = true});
        if (kind == 2) ops::adamw_step(p, g, m, v, {.lr = 0.1, .weight_decay = 0.1, .t = 3});
        if (kind == 3) ops::ema_step(p, g, 0.9);
        CHECK(p.version() > version);
        out.insert(out.end(), {p, m, v});
      }
      return out;
    };
    const auto want = run(DType::kF64, false);
    for (const bool turned : {false, true}) {
      const auto got = run(DType::kF32, turned);
      for (size_t i = 0; i < want.size(); ++i) CHECK(error_of(got[i], want[i]) < 1e-6);
    }
  }
}

TEST_CASE("optimize: many parameters in one call are as many calls of one") {
  Context::current().fallbacks.clear();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    // More than a launch takes, of odd sizes, some longer than a block's piece, some empty, some at
    // odd places of a larger tensor.
    std::vector<ops::SgdTensors> sgd;
    std::vector<ops::AdamWTensors> adamw;
    std::vector<ops::EmaTensors> ema;
    std::vector<Tensor> want, got;
    for (int64_t i = 0; i < 80; ++i) {
      const int64_t n = i == 7 ? 0 : i % 40 == 3 ? 4096 + 5 : i % 40 == 5 ? 8192 : 1 + i % 9;
      const uint64_t seed = uint64_t(4 * i);
      const auto make = [&](uint64_t k) {
        const Tensor x = random_tensor({n + 1}, seed + k, 0, 1, dtype);
        return i % 2 ? x.slice(0, 1, n + 1) : x.slice(0, 0, n).clone();
      };
      const Tensor g = make(0);
      for (int kind = 0; kind < 4; ++kind) {
        const Tensor p = make(1), m = make(2), v = make(3);
        const Tensor p1 = p.clone(), m1 = m.clone(), v1 = v.clone();
        if (kind == 0) {
          sgd.push_back({p, g, i % 3 ? m : Tensor()});
          ops::sgd_step(p1, g, i % 3 ? m1 : Tensor(), {.lr = 0.1, .momentum = 0.9});
        } else if (kind == 1) {
          adamw.push_back({p, g, m, v});
          ops::adamw_step(p1, g, m1, v1, {.lr = 0.1, .weight_decay = 0.1, .t = 3});
        } else if (kind == 2) {
          ema.push_back({p, g});
          ops::ema_step(p1, g, 0.9);
        }
        want.insert(want.end(), {p1, m1, v1});
        got.insert(got.end(), {p, m, v});
      }
    }
    ops::sgd_step(sgd, {.lr = 0.1, .momentum = 0.9});
    ops::adamw_step(adamw, {.lr = 0.1, .weight_decay = 0.1, .t = 3});
    ops::ema_step(ema, 0.9);
    for (size_t i = 0; i < want.size(); ++i) {
      CHECK(got[i].to_vector<double>() == want[i].to_vector<double>());
    }
    ops::sgd_step(std::span<const ops::SgdTensors>(), {.lr = 1});
  }
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("optimize: errors") {
  const ops::EmaTensors mixed[] = {{make::zeros({2}), make::zeros({2})},
                                   {make::zeros({2}, DType::kF64), make::zeros({2}, DType::kF64)}};
  CHECK_ERROR((ops::ema_step(mixed, 0.5), 0), "ema_step: got f32 and f64");

  Tensor p = make::zeros({2}), v = make::zeros({3});
  CHECK_ERROR(ops::sgd_step(p, make::zeros({3}), v, {.lr = 1}),
              "sgd_step: the gradient has shape (3), expected (2)");
  CHECK_ERROR(ops::adamw_step(p, p, v, p, {.lr = 1}), "adamw_step: the mean has shape (3)");
  CHECK_ERROR(ops::adamw_step(p, p, p, p, {.lr = 1, .t = 0}), "adamw_step: got step number 0");
  Tensor wide = make::zeros({2, 3}), turned = make::zeros({3, 2}).transpose(0, 1);
  CHECK_ERROR(ops::sgd_step(wide, wide, turned, {.lr = 1}), "sgd_step: the velocity has strides");
  Tensor gaps = make::zeros({4}).slice(0, 0, 4, 2);
  CHECK_ERROR(ops::ema_step(gaps, p, 0.5), "expected no gaps");
  CHECK_ERROR(ops::ema_step(p, make::zeros({2}, DType::kF64), 0.5), "ema_step: got f32 and f64");
}

// CKA on the device: Grams beside the host's, products of all pairs, and the similarity of a zoo.
#include "kintsugi/zoo/similarity.h"

#include <doctest/doctest.h>

#include "kintsugi/engine/ops/gram.h"
#include "kintsugi/solvers/similarity.h"
#include "kintsugi/zoo/similarity/grams.h"
#include "tests/cuda/in_use.h"
#include "tests/support/compare.h"
#include "tests/zoo/synthetic_zoo.h"

using namespace kintsugi;
using namespace kintsugi::test;
using solvers::CkaEstimator;
using solvers::CkaKernel;
using solvers::CkaOptions;
using zoo::similarity::Grams;

namespace {

const CkaOptions kAll[] = {{CkaEstimator::kBiased, CkaKernel::kLinear},
                           {CkaEstimator::kUnbiased, CkaKernel::kLinear},
                           {CkaEstimator::kBiased, CkaKernel::kRbf},
                           {CkaEstimator::kUnbiased, CkaKernel::kRbf}};

// Rows have something in common whatever the seed.
Tensor features(uint64_t seed, int64_t rows, int64_t channels, double mean = 0) {
  Tensor x = Tensor::empty({rows, channels});
  Generator(seed).normal(x, mean, 1);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t c = 0; c < channels; ++c) {
      x.data<float>()[i * channels + c] += float(i * (c % 5 + 1) % 7);
    }
  }
  return x;
}

Grams grams_on(Device device, std::vector<Tensor> all, const CkaOptions& options) {
  for (Tensor& x : all) x = x.to(device);
  return zoo::similarity::grams_of(std::move(all), options, [] {});
}

solvers::Matrix cka_on(Device device, const std::vector<std::vector<Tensor>>& batches,
                       const CkaOptions& options) {
  solvers::StreamingCka cka(batches[0].size(), options);
  for (const std::vector<Tensor>& batch : batches) {
    cka.begin_batch(size_t(batch[0].size(0)));
    const Grams grams = grams_on(device, batch, options);
    if (device == kCpu) {
      for (size_t p = 0; p < batch.size(); ++p) {
        cka.add_gram(p, grams.packed[p].data<float>(), grams.norms[p]);
      }
      cka.end_batch();
    } else {
      cka.end_batch(zoo::similarity::products_on(device, grams.packed, [] {}), grams.norms);
    }
  }
  return cka.similarity();
}

}  // namespace

TEST_CASE("gram: sums of products of rows, whatever the shape, the strides and the mode of math") {
  const ScopedSet mode(Context::current().math, Math::kBF16);  // of the networks, not of this
  for (const auto& [m, k] :
       {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {7, 256}, {2, 257}, {33, 700}, {1, 2000}}) {
    CAPTURE(m);
    CAPTURE(k);
    const Tensor wide = features(1, m, k + 3).to(kTestDevice);
    for (const Tensor& x : {wide.slice(1, 2, k + 2),
                            wide.slice(1, 0, k).transpose(0, 1).contiguous().transpose(0, 1)}) {
      Tensor sum = make::full({m, m}, 0.5, DType::kF64);
      ops::add_row_products(x, sum);
      const auto got = sum.to_vector<double>();
      const auto values = x.to_vector<double>();
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = i; j < m; ++j) {
          double want = 0.5, terms = 0.5;
          for (int64_t p = 0; p < k; ++p) {
            const double term = values[size_t(i * k + p)] * values[size_t(j * k + p)];
            want += term;
            terms += std::abs(term);
          }
          CHECK(std::abs(got[size_t(i * m + j)] - want) < 1e-6 * terms);
        }
      }
    }
  }
  Tensor sum = Tensor::zeros({2, 2}, DType::kF64);
  CHECK_ERROR(ops::add_row_products(Tensor::zeros({2, 3}), sum), "is for tensors on a device");
  CHECK_ERROR(ops::add_row_products(make::zeros({3, 3}), sum), "expected 9 of f64");
}

TEST_CASE("gram: unit Grams and CKA are the host's") {
  std::vector<std::vector<Tensor>> batches;
  for (const int64_t rows : {4, 9, 33}) {
    batches.push_back({features(1, rows, 3), features(2, rows, 1), features(3, rows, 17, 100),
                       features(4, rows, 1300), Tensor::full({rows, 6}, 0.1f)});
    // All but one row alike: the median of the distances is zero.
    Tensor apart = Tensor::full({rows, 2}, 3);
    apart.slice(0, 1, 2).fill(4);
    batches.back().push_back(apart);
  }
  for (const CkaOptions& options : kAll) {
    CAPTURE(int(options.estimator));
    CAPTURE(int(options.kernel));
    for (const std::vector<Tensor>& batch : batches) {
      const Grams want = grams_on(kCpu, batch, options);
      const Grams got = grams_on(kTestDevice, batch, options);
      for (size_t p = 0; p < batch.size(); ++p) {
        CAPTURE(p);
        // What rounding leaves of nothing has a direction of its own.
        if (want.norms[p] < 1e-9) {
          CHECK(got.norms[p] < 1e-9);
          continue;
        }
        CHECK(got.norms[p] == doctest::Approx(want.norms[p]).epsilon(1e-6));
        CHECK(error_of(got.packed[p], want.packed[p]) < 1e-6);
      }
      if (options.kernel == CkaKernel::kLinear) CHECK(got.norms[4] == 0);
    }
    const solvers::Matrix want = cka_on(kCpu, batches, options);
    const solvers::Matrix got = cka_on(kTestDevice, batches, options);
    for (size_t i = 0; i < want.rows; ++i) {
      for (size_t j = 0; j < want.rows; ++j) {
        CAPTURE(i);
        CAPTURE(j);
        CHECK(std::abs(got(i, j) - want(i, j)) < 1e-6);
      }
    }
    CHECK(want(0, 3) > 0.1);
    CHECK(cka_on(kTestDevice, batches, options).values == got.values);
  }
}

TEST_CASE("gram: a NaN or an infinity is named, by position and channel") {
  for (const CkaOptions& options : kAll) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::vector<Tensor> batch{features(1, 9, 3), features(2, 9, 5), features(3, 9, 5)};
      batch[1].data<float>()[4 * 5 + 2] = bad;
      CHECK_ERROR(grams_on(kTestDevice, batch, options), "channel 2 of position 1");
    }
  }
}

TEST_CASE("gram: products in several slices, of Grams of which some lie on the host") {
  const int64_t floats = 2'200'003;  // eight of them are more than a slice
  std::vector<Tensor> all;
  for (size_t i = 0; i < 8; ++i) {
    Tensor x = Tensor::empty({1, floats});
    if (i < 2) Generator(i).uniform(x, 0, 1);
    all.push_back(i < 2 ? x.to(kTestDevice) : i == 7 ? all[1].to(kCpu) : all[i % 2]);
  }
  int slices = 0;
  const solvers::Matrix got = zoo::similarity::products_on(kTestDevice, all, [&] { ++slices; });
  CHECK(slices == 2);
  const auto x = all[0].to_vector<double>(), y = all[1].to_vector<double>();
  double want[2][2] = {};
  for (size_t k = 0; k < x.size(); ++k) {
    want[0][0] += x[k] * x[k];
    want[0][1] += x[k] * y[k];
    want[1][1] += y[k] * y[k];
  }
  want[1][0] = want[0][1];
  for (size_t i = 0; i < 8; ++i) {
    for (size_t j = i; j < 8; ++j) {
      CHECK(got(i, j) == doctest::Approx(want[i % 2][j % 2]).epsilon(1e-6));
    }
  }
}

TEST_CASE("similarity of a zoo: on the device as on the host, with a cache and without") {
  const AsInUse in_use;
  const Scratch scratch;
  const zoo::ZooFile file = make_zoo(scratch.path, {"resnet_nano", "vit_nano_patch4_28"});
  using zoo::Metric;
  for (const auto& [metric, tokens] : {std::pair{Metric::kLinearCka, 0},
                                       {Metric::kLinearCkaUnbiased, 3},
                                       {Metric::kRbfCka, 0},
                                       {Metric::kLinearRegression, 0}}) {
    CAPTURE(zoo::laws_of(metric).name);
    zoo::SimilarityOptions options{.metric = metric, .images = 12, .batch_size = 6};
    options.tokens = tokens;
    const auto on = [&](Device device) {
      const ScopedSet where(Context::current().device, device);
      auto members = zoo::load_zoo(file);
      return zoo::similarity_of(members, images(), options).similarity;
    };
    const solvers::Matrix want = on(kCpu), got = on(kTestDevice);
    REQUIRE(got.rows == want.rows);
    double worst = 0;
    for (size_t i = 0; i < want.values.size(); ++i) {
      worst = std::max(worst, std::abs(got.values[i] - want.values[i]));
    }
    CHECK(worst < 1e-5);
    options.cache = scratch.path / zoo::laws_of(metric).name;
    // What the host made is not taken for the device's.
    CHECK(on(kCpu).values == want.values);
    for (int kept = 0; kept < 2; ++kept) CHECK(on(kTestDevice).values == got.values);
  }
}

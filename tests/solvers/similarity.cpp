#include "kintsugi/solvers/similarity.h"

#include <doctest/doctest.h>

#include "expect_error.h"
#include "kintsugi/engine/core/context.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

using Gram = Matrix;

Gram gram_of(const std::vector<float>& x, size_t n) {
  const size_t dim = x.size() / n;
  Gram out(n, n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t c = 0; c < dim; ++c) out(i, j) += double(x[i * dim + c]) * x[j * dim + c];
    }
  }
  return out;
}

// <HKH, HLH>, by the centring matrix itself.
double biased_hsic(const Gram& k, const Gram& l) {
  const size_t n = k.rows;
  const auto centred = [n](const Gram& g) {
    Gram out(n, n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        for (size_t a = 0; a < n; ++a) {
          for (size_t b = 0; b < n; ++b) {
            const double left = double(i == a) - 1.0 / double(n);
            const double right = double(b == j) - 1.0 / double(n);
            out(i, j) += left * g(a, b) * right;
          }
        }
      }
    }
    return out;
  };
  const Gram kc = centred(k), lc = centred(l);
  double sum = 0;
  for (size_t i = 0; i < n * n; ++i) sum += kc.values[i] * lc.values[i];
  return sum;
}

// Song et al. 2012, eq. 5, term by term.
double unbiased_hsic(Gram k, Gram l) {
  const size_t n = k.rows;
  const double m = double(n);
  for (size_t i = 0; i < n; ++i) k(i, i) = l(i, i) = 0;
  double trace = 0, k_sum = 0, l_sum = 0, mixed = 0;
  for (size_t i = 0; i < n; ++i) {
    double k_row = 0, l_row = 0;
    for (size_t j = 0; j < n; ++j) {
      trace += k(i, j) * l(j, i);
      k_row += k(i, j);
      l_row += l(i, j);
    }
    k_sum += k_row;
    l_sum += l_row;
    mixed += k_row * l_row;
  }
  return (trace + k_sum * l_sum / ((m - 1) * (m - 2)) - 2 * mixed / (m - 2)) / (m * (m - 3));
}

// exp(-d^2 / (2 median)), distances from the features themselves.
Gram rbf_of(const std::vector<float>& x, size_t n) {
  const size_t dim = x.size() / n;
  Gram out(n, n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t c = 0; c < dim; ++c) {
        const double apart = double(x[i * dim + c]) - x[j * dim + c];
        out(i, j) += apart * apart;
      }
    }
  }
  std::vector<double> sorted = out.values;
  std::sort(sorted.begin(), sorted.end());
  const double median = (sorted[(n * n - 1) / 2] + sorted[n * n / 2]) / 2;
  for (double& v : out.values) v = std::exp(-v / (2 * median));
  return out;
}

// [batch][position]: features that share some latent directions.
std::vector<std::vector<std::vector<float>>> batches_of(const std::vector<size_t>& images,
                                                        const std::vector<size_t>& dims) {
  test::Random random(11);
  std::vector<std::vector<std::vector<float>>> out;
  for (const size_t n : images) {
    const std::vector<float> latent = test::features(random, n, 4);
    out.emplace_back();
    for (const size_t dim : dims) {
      std::vector<float> x = test::features(random, n, dim, 3);
      for (size_t i = 0; i < n; ++i) {
        for (size_t c = 0; c < dim; ++c) x[i * dim + c] += 2 * latent[i * 4 + c % 4];
      }
      out.back().push_back(std::move(x));
    }
  }
  return out;
}

Matrix stream(const std::vector<std::vector<std::vector<float>>>& batches, size_t positions,
              const std::vector<size_t>& dims, CkaOptions options) {
  StreamingCka cka(positions, options);
  for (const auto& batch : batches) {
    const size_t n = batch[0].size() / dims[0];
    cka.begin_batch(n);
    for (size_t p = positions; p-- > 0;) cka.add(p, batch[p].data(), n, dims[p]);
    cka.end_batch();
  }
  CHECK(cka.batches() == batches.size());
  return cka.similarity();
}

}  // namespace

TEST_CASE("similarity: equals the formulas, both estimators and kernels, uneven batches") {
  const std::vector<size_t> dims = {3, 1, 17, 300, 64}, images = {9, 13, 6};
  const auto batches = batches_of(images, dims);
  for (const CkaKernel kernel : {CkaKernel::kLinear, CkaKernel::kRbf}) {
    CAPTURE(int(kernel));
    const auto of = kernel == CkaKernel::kLinear ? gram_of : rbf_of;
    const Matrix biased = stream(batches, dims.size(), dims, {CkaEstimator::kBiased, kernel});
    const Matrix unbiased = stream(batches, dims.size(), dims, {CkaEstimator::kUnbiased, kernel});
    for (size_t p = 0; p < dims.size(); ++p) {
      for (size_t q = 0; q < dims.size(); ++q) {
        double mean = 0, numerator = 0, left = 0, right = 0;
        for (size_t b = 0; b < batches.size(); ++b) {
          const Gram k = of(batches[b][p], images[b]), l = of(batches[b][q], images[b]);
          mean += biased_hsic(k, l) / std::sqrt(biased_hsic(k, k) * biased_hsic(l, l)) / 3;
          numerator += unbiased_hsic(k, l);
          left += unbiased_hsic(k, k);
          right += unbiased_hsic(l, l);
        }
        CHECK(biased(p, q) == doctest::Approx(mean).epsilon(2e-6));
        CHECK(unbiased(p, q) == doctest::Approx(numerator / std::sqrt(left * right)).epsilon(1e-5));
        CHECK(biased(p, q) == biased(q, p));
      }
      CHECK(biased(p, p) == 1);
    }
  }
}

TEST_CASE("similarity: RBF where more than half of the distances are zero, and where all are") {
  // Six images, five of them alike: the bandwidth's limit says alike or not.
  const std::vector<float> one_apart = {1, 1, 1, 1, 1, 9}, ramp = {1, 2, 3, 4, 5, 60},
                           constant(6, 0.1f);
  StreamingCka cka(3, {CkaEstimator::kBiased, CkaKernel::kRbf});
  cka.begin_batch(6);
  cka.add(0, one_apart.data(), 6, 1);
  cka.add(1, ramp.data(), 6, 1);
  cka.add(2, constant.data(), 6, 1);
  cka.end_batch();
  const Matrix s = cka.similarity();
  CHECK(s(0, 1) > 0.5);
  CHECK(s(0, 2) == 0);
}

TEST_CASE("similarity: Grams kept elsewhere give the same bits") {
  const std::vector<size_t> dims = {5, 40, 2};
  const auto batches = batches_of({20, 12}, dims);
  const CkaOptions options{CkaEstimator::kUnbiased, CkaKernel::kRbf};
  StreamingCka cka(dims.size(), options);
  for (const auto& batch : batches) {
    const size_t n = batch[0].size() / dims[0];
    std::vector<std::vector<float>> kept;
    cka.begin_batch(n);
    for (size_t p = 0; p < dims.size(); ++p) {
      kept.emplace_back(packed_gram(n));
      const double norm = unit_gram(batch[p].data(), n, dims[p], p, options, kept[p].data());
      cka.add_gram(p, kept[p].data(), norm);
    }
    cka.end_batch();
  }
  CHECK(cka.similarity().values == stream(batches, dims.size(), dims, options).values);
}

TEST_CASE("similarity: products made elsewhere") {
  const std::vector<size_t> dims = {5, 40, 2};
  const auto batches = batches_of({20, 12}, dims);
  for (const CkaEstimator estimator : {CkaEstimator::kBiased, CkaEstimator::kUnbiased}) {
    const CkaOptions options{estimator};
    StreamingCka cka(dims.size(), options);
    for (const auto& batch : batches) {
      const size_t n = batch[0].size() / dims[0];
      std::vector<std::vector<float>> kept;
      std::vector<double> norms;
      for (size_t p = 0; p < dims.size(); ++p) {
        kept.emplace_back(packed_gram(n));
        norms.push_back(unit_gram(batch[p].data(), n, dims[p], p, options, kept[p].data()));
      }
      Matrix products(dims.size(), dims.size());
      for (size_t p = 0; p < dims.size(); ++p) {
        for (size_t q = p; q < dims.size(); ++q) {
          for (size_t k = 0; k < kept[p].size(); ++k) {
            products(p, q) += double(kept[p][k]) * kept[q][k];
          }
        }
      }
      cka.begin_batch(n);
      expect_error(ErrorKind::kShape, "2 norms of 3 positions", [&] {
        cka.end_batch(products, {norms.data(), 2});
      });
      cka.end_batch(products, norms);
    }
    const Matrix want = stream(batches, dims.size(), dims, options), got = cka.similarity();
    for (size_t i = 0; i < want.values.size(); ++i) {
      CHECK(got.values[i] == doctest::Approx(want.values[i]).epsilon(1e-6));
    }
  }
}

TEST_CASE("similarity: invariant to rotation, scale and a large mean") {
  test::Random random(3);
  const size_t n = 40;
  const std::vector<float> x = test::features(random, n, 2), other = test::features(random, n, 7);
  std::vector<float> turned = x;
  for (size_t i = 0; i < n; ++i) {
    turned[2 * i] = 5 * (0.6f * x[2 * i] - 0.8f * x[2 * i + 1]) + 1000;
    turned[2 * i + 1] = 5 * (0.8f * x[2 * i] + 0.6f * x[2 * i + 1]) - 3000;
  }
  StreamingCka cka(3);
  cka.begin_batch(n);
  cka.add(0, x.data(), n, 2);
  cka.add(1, turned.data(), n, 2);
  cka.add(2, other.data(), n, 7);
  cka.end_batch();
  const Matrix s = cka.similarity();
  CHECK(s(0, 1) == doctest::Approx(1).epsilon(1e-4));
  CHECK(s(0, 2) == doctest::Approx(s(1, 2)).epsilon(1e-3));
  CHECK(s(0, 2) < 0.5);
}

TEST_CASE("similarity: independent features tend to zero without bias, not with it") {
  test::Random random(5);
  StreamingCka biased(2), unbiased(2, {CkaEstimator::kUnbiased});
  for (size_t b = 0; b < 30; ++b) {
    const std::vector<float> x = test::features(random, 16, 64), y = test::features(random, 16, 64);
    for (StreamingCka* cka : {&biased, &unbiased}) {
      cka->begin_batch(16);
      cka->add(0, x.data(), 16, 64);
      cka->add(1, y.data(), 16, 64);
      cka->end_batch();
    }
  }
  CHECK(biased.similarity()(0, 1) > 0.6);
  CHECK(std::abs(unbiased.similarity()(0, 1)) < 0.1);
}

TEST_CASE("similarity: the same bits whatever the number of threads") {
  const std::vector<size_t> dims(70, 33);
  const auto batches = batches_of({64, 64}, dims);
  Context& context = Context::current();
  const int before = context.threads();
  context.set_threads(1);
  const Matrix one = stream(batches, dims.size(), dims, {});
  context.set_threads(3);
  const Matrix three = stream(batches, dims.size(), dims, {});
  context.set_threads(before);
  CHECK(one.values == three.values);
}

TEST_CASE("similarity: no variance means 0 to all others, tiny and huge scales do not matter") {
  test::Random random(9);
  const size_t n = 8;
  std::vector<float> x = test::features(random, n, 5), tiny = x, huge = x;
  for (float& v : tiny) v *= 1e-18f;
  for (float& v : huge) v *= 1e18f;
  const std::vector<float> constant(n * 3, 0.1f);
  for (const CkaEstimator estimator : {CkaEstimator::kBiased, CkaEstimator::kUnbiased}) {
    StreamingCka cka(4, {estimator});
    cka.begin_batch(n);
    cka.add(0, x.data(), n, 5);
    cka.add(1, constant.data(), n, 3);
    cka.add(2, tiny.data(), n, 5);
    cka.add(3, huge.data(), n, 5);
    cka.end_batch();
    const Matrix s = cka.similarity();
    CHECK(s(0, 1) == 0);
    CHECK(s(1, 2) == 0);
    CHECK(s(1, 1) == 1);
    CHECK(s(0, 2) == doctest::Approx(1).epsilon(1e-5));
    CHECK(s(0, 3) == doctest::Approx(1).epsilon(1e-5));
  }
}

TEST_CASE("similarity: memory stays at the Grams of one batch") {
  StreamingCka cka(434);
  CHECK(StreamingCka::working_bytes(434, 256) < 20'000'000);
  test::Random random(1);
  const std::vector<float> x = test::features(random, 256, 3);
  for (int batch = 0; batch < 2; ++batch) {
    cka.begin_batch(256);
    for (size_t p = 0; p < 434; ++p) cka.add(p, x.data(), 256, 3);
    cka.end_batch();
    CHECK(cka.bytes() < 64'000'000);
  }
}

TEST_CASE("similarity: misuse is an error, a stop forgets the batch") {
  std::vector<float> x(8 * 2, 1.0f);
  StreamingCka cka(2);
  expect_error(ErrorKind::kUsage, "no batch", [&] { cka.similarity(); });
  expect_error(ErrorKind::kUsage, "without begin_batch", [&] { cka.add(0, x.data(), 8, 2); });
  expect_error(ErrorKind::kUsage, "expected at least 2", [&] { cka.begin_batch(1); });
  cka.begin_batch(8);
  expect_error(ErrorKind::kUsage, "while a batch is open", [&] { cka.begin_batch(8); });
  expect_error(ErrorKind::kUsage, "position 2 of 2", [&] { cka.add(2, x.data(), 8, 2); });
  expect_error(ErrorKind::kShape, "expected (8, ", [&] { cka.add(0, x.data(), 4, 2); });
  x[3] = NAN;
  expect_error(ErrorKind::kNumeric, "channel 1 of position 0", [&] { cka.add(0, x.data(), 8, 2); });
  x[3] = INFINITY;
  expect_error(ErrorKind::kNumeric, "channel 1", [&] { cka.add(0, x.data(), 8, 2); });
  x[3] = 2;
  cka.add(0, x.data(), 8, 2);
  expect_error(ErrorKind::kUsage, "given twice", [&] { cka.add(0, x.data(), 8, 2); });
  expect_error(ErrorKind::kUsage, "position 1 is missing", [&] { cka.end_batch(); });
  cka.add(1, x.data(), 8, 2);
  std::stop_source source;
  source.request_stop();
  expect_error(ErrorKind::kInterrupted, "stopped",
               [&] { cka.end_batch({.stop = source.get_token()}); });
  CHECK(cka.batches() == 0);
  cka.begin_batch(8);
  expect_error(ErrorKind::kUsage, "expected at least 4",
               [] { StreamingCka(1, {CkaEstimator::kUnbiased}).begin_batch(3); });
  expect_error(ErrorKind::kUsage, "0 positions", [] { StreamingCka(0); });
}

}  // namespace kintsugi::solvers

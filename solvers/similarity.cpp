#include "kintsugi/solvers/similarity.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/dense/centre.h"
#include "kintsugi/solvers/dense/products.h"

namespace kintsugi::solvers {

namespace {

// From inner products to exp(-d^2 / (2 median d^2)), upper triangles.
void apply_rbf(std::vector<double>& gram, size_t n) {
  std::vector<double> diagonal(n), apart;
  for (size_t i = 0; i < n; ++i) diagonal[i] = gram[i * n + i];
  apart.reserve(n * (n - 1) / 2);
  for (size_t i = 0; i < n; ++i) {
    gram[i * n + i] = 0;
    for (size_t j = i + 1; j < n; ++j) {
      double& d = gram[i * n + j];
      d = std::max(0.0, diagonal[i] + diagonal[j] - 2 * d);
      apart.push_back(d);
    }
  }
  // Of all n^2 ordered pairs: n zeros, then every distance twice.
  const auto smallest = [&](size_t rank) {
    if (rank < n) return 0.0;
    const auto at = apart.begin() + ptrdiff_t((rank - n) / 2);
    std::nth_element(apart.begin(), at, apart.end());
    return *at;
  };
  const double median = (smallest((n * n - 1) / 2) + smallest(n * n / 2)) / 2;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      double& d = gram[i * n + j];
      // More than half of the pairs alike: the limit of a bandwidth that tends to zero.
      d = d == 0 ? 1 : median > 0 ? std::exp(-d / (2 * median)) : 0;
    }
  }
}

// K_ij - mean_i - mean_j + mean: what centring the features left by rounding.
void centre_biased(std::vector<double>& gram, size_t n) {
  std::vector<double> mean(n, 0);
  double total = 0;
  for (size_t i = 0; i < n; ++i) {
    mean[i] += gram[i * n + i];
    for (size_t j = i + 1; j < n; ++j) {
      mean[i] += gram[i * n + j];
      mean[j] += gram[i * n + j];
    }
  }
  for (double& m : mean) {
    m /= double(n);
    total += m / double(n);
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) gram[i * n + j] += total - mean[i] - mean[j];
  }
}

// U-centring: with the diagonal zero, <K, L> of two such Grams is n (n - 3) HSIC_1 (Szekely and
// Rizzo 2014, section 3; expanding it gives Song's eq. 5).
void centre_unbiased(std::vector<double>& gram, size_t n) {
  std::vector<double> sum(n, 0);
  double total = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) {
      sum[i] += gram[i * n + j];
      sum[j] += gram[i * n + j];
      total += 2 * gram[i * n + j];
    }
  }
  const double m = double(n);
  for (size_t i = 0; i < n; ++i) {
    gram[i * n + i] = 0;
    for (size_t j = i + 1; j < n; ++j) {
      gram[i * n + j] += total / ((m - 1) * (m - 2)) - (sum[i] + sum[j]) / (m - 2);
    }
  }
}

constexpr size_t kSlice = 8192;  // floats of a Gram that are multiplied at once

}  // namespace

double unit_gram(const float* features, size_t images, size_t dim, size_t position,
                 const CkaOptions& options, float* packed) {
  const size_t n = images;
  const std::vector<float> x = dense::centred(features, n, dim, position);
  std::vector<double> gram(n * n, 0);
  const dense::Strided<float> rows{x.data(), dim, 1};
  dense::add_products<float>(n, n, dim, rows, rows, 1, gram.data(), n, dense::Part::kUpper);
  if (options.kernel == CkaKernel::kRbf) apply_rbf(gram, n);
  if (options.estimator == CkaEstimator::kUnbiased) {
    centre_unbiased(gram, n);
  } else {
    centre_biased(gram, n);
  }
  // Scaled to unit norm where it has one: float32 then never overflows, and the norm, which the
  // unbiased sums need, is put back at the end of the batch.
  double norm = 0;
  for (size_t i = 0; i < n; ++i) {
    norm += gram[i * n + i] * gram[i * n + i];
    for (size_t j = i + 1; j < n; ++j) norm += 2 * gram[i * n + j] * gram[i * n + j];
  }
  norm = std::sqrt(norm);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      const double weight = i == j ? 1 : M_SQRT2;
      *packed++ = norm > 0 ? float(weight * gram[i * n + j] / norm) : 0;
    }
  }
  return norm;
}

StreamingCka::StreamingCka(size_t positions, CkaOptions options)
    : positions_(positions),
      options_(options),
      own_(positions),
      grams_(positions, nullptr),
      norms_(positions, 0),
      total_(positions, positions) {
  if (positions == 0) fail(ErrorKind::kUsage, "similarity: 0 positions, expected at least 1");
}

void StreamingCka::begin_batch(size_t images) {
  if (images_ != 0) fail(ErrorKind::kUsage, "similarity: begin_batch while a batch is open");
  const size_t least = options_.estimator == CkaEstimator::kUnbiased ? 4 : 2;
  if (images < least) {
    fail(ErrorKind::kUsage, "similarity: a batch of ", images, " images, expected at least ",
         least);
  }
  images_ = images;
}

void StreamingCka::abandon_batch() {
  images_ = 0;
  std::fill(grams_.begin(), grams_.end(), nullptr);
}

void StreamingCka::check_position(size_t position) const {
  if (images_ == 0) fail(ErrorKind::kUsage, "similarity: add without begin_batch");
  if (position >= positions_) {
    fail(ErrorKind::kUsage, "similarity: position ", position, " of ", positions_);
  }
  if (grams_[position]) {
    fail(ErrorKind::kUsage, "similarity: position ", position, " given twice in one batch");
  }
}

void StreamingCka::add_gram(size_t position, const float* packed, double norm) {
  check_position(position);
  grams_[position] = packed;
  norms_[position] = norm;
}

void StreamingCka::add(size_t position, const float* features, size_t images, size_t dim) {
  check_position(position);
  if (images != images_ || dim == 0) {
    fail(ErrorKind::kShape, "similarity: features of position ", position, " are (", images, ", ",
         dim, "), expected (", images_, ", 1 or more)");
  }
  std::vector<float>& gram = own_[position];
  gram.resize(packed_gram(images));
  const double norm = unit_gram(features, images, dim, position, options_, gram.data());
  add_gram(position, gram.data(), norm);
}

void StreamingCka::end_batch(const Control& control) {
  if (images_ == 0) fail(ErrorKind::kUsage, "similarity: end_batch without begin_batch");
  const auto missing = std::find(grams_.begin(), grams_.end(), nullptr);
  if (missing != grams_.end()) {
    fail(ErrorKind::kUsage, "similarity: position ", missing - grams_.begin(),
         " is missing from the batch");
  }
  Clock clock(control);
  Matrix products(positions_, positions_);
  // Slices of the Grams side by side: a stop is seen in time, and Grams may lie in files.
  const size_t packed = packed_gram(images_);
  std::vector<float> slices(positions_ * std::min(kSlice, packed));
  for (size_t p = 0; p < packed; p += kSlice) {
    if (clock.stopped()) {
      abandon_batch();
      fail(ErrorKind::kInterrupted, "similarity: stopped");
    }
    const size_t width = std::min(kSlice, packed - p);
    for (size_t i = 0; i < positions_; ++i) {
      std::copy_n(grams_[i] + p, width, slices.data() + i * width);
    }
    const dense::Strided<float> rows{slices.data(), width, 1};
    dense::add_products<float>(positions_, positions_, width, rows, rows, 1, products.values.data(),
                               positions_, dense::Part::kUpper);
    clock.report(double(p + width) / double(packed));
  }
  end_batch(products, norms_);
}

void StreamingCka::end_batch(const Matrix& products, std::span<const double> norms) {
  if (images_ == 0) fail(ErrorKind::kUsage, "similarity: end_batch without begin_batch");
  if (products.rows != positions_ || products.cols != positions_ || norms.size() != positions_) {
    fail(ErrorKind::kShape, "similarity: products (", products.rows, ", ", products.cols, ") and ",
         norms.size(), " norms of ", positions_, " positions");
  }
  const bool unbiased = options_.estimator == CkaEstimator::kUnbiased;
  const double n = double(images_);
  for (size_t i = 0; i < positions_; ++i) {
    for (size_t j = i; j < positions_; ++j) {
      // Unbiased: HSIC_1 of the batch. Biased: the ratio is the product of unit Grams itself.
      const double scale = unbiased ? norms[i] * norms[j] / (n * (n - 3)) : 1;
      total_(i, j) += products(i, j) * scale;
    }
  }
  ++batches_;
  abandon_batch();
}

Matrix StreamingCka::similarity() const {
  if (batches_ == 0) fail(ErrorKind::kUsage, "similarity: no batch has been ended yet");
  const bool unbiased = options_.estimator == CkaEstimator::kUnbiased;
  Matrix out(positions_, positions_);
  for (size_t i = 0; i < positions_; ++i) {
    out(i, i) = 1;
    for (size_t j = i + 1; j < positions_; ++j) {
      double value = total_(i, j) / double(batches_);
      if (unbiased) {
        const double norm = std::sqrt(std::max(0.0, total_(i, i) * total_(j, j)));
        value = norm > 0 ? total_(i, j) / norm : 0;
      }
      // Rounding may pass the limits by a few units in the last place; nothing else can.
      out(i, j) = out(j, i) = std::clamp(value, unbiased ? -1.0 : 0.0, 1.0);
    }
  }
  return out;
}

size_t StreamingCka::bytes() const {
  size_t floats = 0;
  for (const std::vector<float>& gram : own_) floats += gram.capacity();
  return floats * sizeof(float) + (total_.values.capacity() + norms_.capacity()) * sizeof(double) +
         grams_.capacity() * sizeof(float*);
}

size_t StreamingCka::working_bytes(size_t positions, size_t images) {
  const size_t slices = positions * std::min(kSlice, packed_gram(images)) * sizeof(float);
  return slices + 2 * positions * positions * sizeof(double) + images * images * sizeof(double);
}

}  // namespace kintsugi::solvers

#include "kintsugi/solvers/similarity.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/dense/products.h"

namespace kintsugi::solvers {

namespace {

// Features minus their mean over the images: the Gram is then centred, and a large mean costs no
// digits.
std::vector<float> centred(const float* features, size_t images, size_t dim, size_t position) {
  std::vector<double> mean(dim, 0);
  for (size_t i = 0; i < images; ++i) {
    for (size_t c = 0; c < dim; ++c) mean[c] += features[i * dim + c];
  }
  for (size_t c = 0; c < dim; ++c) {
    mean[c] /= double(images);
    // A NaN or an infinity anywhere in a column shows in its sum: floats cannot overflow a
    // double's.
    if (!std::isfinite(mean[c])) {
      fail(ErrorKind::kNumeric, "similarity: channel ", c, " of position ", position,
           " holds a NaN or an infinity");
    }
  }
  std::vector<float> out(images * dim);
  for (size_t i = 0; i < images; ++i) {
    for (size_t c = 0; c < dim; ++c) {
      out[i * dim + c] = float(features[i * dim + c] - mean[c]);
    }
  }
  return out;
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

}  // namespace

StreamingCka::StreamingCka(size_t positions, CkaOptions options)
    : positions_(positions),
      options_(options),
      norms_(positions, 0),
      present_(positions, 0),
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
  packed_ = images * (images + 1) / 2;
  if (grams_.size() < positions_ * packed_) grams_.resize(positions_ * packed_);
}

void StreamingCka::abandon_batch() {
  images_ = 0;
  std::fill(present_.begin(), present_.end(), uint8_t{0});
}

void StreamingCka::add(size_t position, const float* features, size_t images, size_t dim) {
  if (images_ == 0) fail(ErrorKind::kUsage, "similarity: add without begin_batch");
  if (position >= positions_) {
    fail(ErrorKind::kUsage, "similarity: position ", position, " of ", positions_);
  }
  if (present_[position]) {
    fail(ErrorKind::kUsage, "similarity: position ", position, " given twice in one batch");
  }
  if (images != images_ || dim == 0) {
    fail(ErrorKind::kShape, "similarity: features of position ", position, " are (", images, ", ",
         dim, "), expected (", images_, ", 1 or more)");
  }
  const std::vector<float> x = centred(features, images, dim, position);
  std::vector<double> gram(images * images, 0);
  const dense::Strided<float> rows{x.data(), dim, 1};
  dense::add_products<float>(images, images, dim, rows, rows, 1, gram.data(), images,
                             dense::Part::kUpper);
  if (options_.estimator == CkaEstimator::kUnbiased) {
    centre_unbiased(gram, images);
  } else {
    centre_biased(gram, images);
  }
  // Scaled to unit norm where it has one: float32 then never overflows, and the norm, which the
  // unbiased sums need, is put back at the end of the batch.
  double norm = 0;
  for (size_t i = 0; i < images; ++i) {
    norm += gram[i * images + i] * gram[i * images + i];
    for (size_t j = i + 1; j < images; ++j) norm += 2 * gram[i * images + j] * gram[i * images + j];
  }
  norm = std::sqrt(norm);
  float* out = grams_.data() + position * packed_;
  for (size_t i = 0; i < images; ++i) {
    for (size_t j = i; j < images; ++j) {
      const double weight = i == j ? 1 : M_SQRT2;
      *out++ = norm > 0 ? float(weight * gram[i * images + j] / norm) : 0;
    }
  }
  norms_[position] = norm;
  present_[position] = 1;
}

void StreamingCka::end_batch(const Control& control) {
  if (images_ == 0) fail(ErrorKind::kUsage, "similarity: end_batch without begin_batch");
  const auto missing = std::find(present_.begin(), present_.end(), uint8_t{0});
  if (missing != present_.end()) {
    fail(ErrorKind::kUsage, "similarity: position ", missing - present_.begin(),
         " is missing from the batch");
  }
  Clock clock(control);
  Matrix products(positions_, positions_);
  // Slices of the Grams, so that a stop is seen in time.
  constexpr size_t kSlice = 8192;
  for (size_t p = 0; p < packed_; p += kSlice) {
    if (clock.stopped()) {
      abandon_batch();
      fail(ErrorKind::kInterrupted, "similarity: stopped");
    }
    const dense::Strided<float> rows{grams_.data() + p, packed_, 1};
    dense::add_products<float>(positions_, positions_, std::min(kSlice, packed_ - p), rows, rows, 1,
                               products.values.data(), positions_, dense::Part::kUpper);
    clock.report(double(std::min(packed_, p + kSlice)) / double(packed_));
  }
  const bool unbiased = options_.estimator == CkaEstimator::kUnbiased;
  const double n = double(images_);
  for (size_t i = 0; i < positions_; ++i) {
    for (size_t j = i; j < positions_; ++j) {
      // Unbiased: HSIC_1 of the batch. Biased: the ratio is the product of unit Grams itself.
      const double scale = unbiased ? norms_[i] * norms_[j] / (n * (n - 3)) : 1;
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
  return grams_.capacity() * sizeof(float) +
         (total_.values.capacity() + norms_.capacity()) * sizeof(double) + present_.capacity();
}

size_t StreamingCka::peak_bytes(size_t images) const {
  const size_t grams = positions_ * (images * (images + 1) / 2) * sizeof(float);
  return grams + 2 * positions_ * positions_ * sizeof(double) + images * images * sizeof(double);
}

}  // namespace kintsugi::solvers

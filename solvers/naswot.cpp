#include "kintsugi/solvers/naswot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/solvers/dense/kernels.h"

namespace kintsugi::solvers {

Naswot::Naswot(size_t inputs) : inputs_(inputs), counts_(inputs * inputs, 0) {
  if (inputs == 0) fail(ErrorKind::kUsage, "naswot: 0 inputs, expected at least 1");
}

void Naswot::add(const float* activations, size_t inputs, size_t units) {
  if (inputs != inputs_ || units == 0) {
    fail(ErrorKind::kShape, "naswot: activations are (", inputs, ", ", units, "), expected (",
         inputs_, ", 1 or more)");
  }
  const size_t words = (units + 63) / 64;
  std::vector<unsigned long long> codes(inputs * words, 0);
  bool nan = false;
  for (size_t i = 0; i < inputs; ++i) {
    const float* row = activations + i * units;
    for (size_t u = 0; u < units; ++u) {
      codes[i * words + u / 64] |= static_cast<unsigned long long>(row[u] > 0) << (u % 64);
      nan |= row[u] != row[u];
    }
  }
  if (nan) fail(ErrorKind::kNumeric, "naswot: the activations hold a NaN");
  const auto& kernels = dense::product_kernels();
  cpu::parallel_for(
      int64_t(inputs), int64_t(1 + 100'000 / (inputs * words)), [&](int64_t begin, int64_t end) {
        for (size_t s = size_t(begin); s < size_t(end); ++s) {
          for (size_t t = 0; t < inputs; ++t) {
            const size_t differing =
                kernels.differing_bits(codes.data() + s * words, codes.data() + t * words, words);
            counts_[s * inputs + t] += int64_t(units - differing);
          }
        }
      });
  units_ += units;
}

void Naswot::merge(const Naswot& other) {
  if (other.inputs_ != inputs_) {
    fail(ErrorKind::kShape, "naswot: merging a kernel over ", other.inputs_,
         " inputs into one over ", inputs_);
  }
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  units_ += other.units_;
}

Matrix Naswot::kernel() const {
  Matrix out(inputs_, inputs_);
  std::copy(counts_.begin(), counts_.end(), out.values.begin());
  return out;
}

double Naswot::score() const {
  return log_det(kernel());
}

double log_det(const Matrix& symmetric) {
  if (symmetric.rows != symmetric.cols) {
    fail(ErrorKind::kShape, "log_det: a matrix of ", symmetric.rows, " by ", symmetric.cols,
         ", expected a square one");
  }
  Matrix a = symmetric;
  const size_t n = a.rows;
  double sum = 0, least = 0;
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (a(i, i) > a(pivot, pivot)) pivot = i;
    }
    if (k == 0) least = a(pivot, pivot) * double(n) * std::numeric_limits<double>::epsilon();
    if (!(a(pivot, pivot) > std::max(least, 0.0))) return -std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < n; ++c) std::swap(a(k, c), a(pivot, c));
    for (size_t r = 0; r < n; ++r) std::swap(a(r, k), a(r, pivot));
    sum += std::log(a(k, k));
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a(i, k) / a(k, k);
      for (size_t j = k + 1; j < n; ++j) a(i, j) -= factor * a(k, j);
    }
  }
  return sum;
}

}  // namespace kintsugi::solvers

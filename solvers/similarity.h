// Streaming CKA between all positions of a zoo, in one pass, without storing features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kintsugi/solvers/control.h"
#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers {

enum class CkaEstimator {
  // Mean over mini-batches of <K,L> / (|K| |L|), K and L the doubly centred Grams of the batch
  // (Kornblith et al. 2019, eq. 5; what DeRy's code computes). Biased upwards for small batches.
  kBiased,
  // HSIC_1 (Song et al. 2012, eq. 5) summed over mini-batches, then one division (Nguyen et al.
  // 2021, eq. 3). Needs at least 4 images a batch; may come out slightly negative.
  kUnbiased,
};

enum class CkaKernel {
  kLinear,  // <x, y>
  // exp(-|x - y|^2 / (2 med)), med the median of |x - y|^2 over all ordered pairs of the batch,
  // those of an image with itself included (Kornblith et al.'s code with a threshold of 1).
  kRbf,
};

struct CkaOptions {
  CkaEstimator estimator = CkaEstimator::kBiased;
  CkaKernel kernel = CkaKernel::kLinear;
};

// Floats of a batch's packed Gram.
inline size_t packed_gram(size_t images) {
  return images * (images + 1) / 2;
}

// The centred Gram of features (images, dim), row major, scaled to unit norm: its upper triangle,
// row by row, off-diagonal entries times sqrt 2, into packed_gram(images) floats. Returns the norm.
// kNumeric, naming the position: a NaN or an infinity.
double unit_gram(const float* features, size_t images, size_t dim, size_t position,
                 const CkaOptions& options, float* packed);

// Use: for each mini-batch begin_batch(n); add(p, ...) once for every position p; end_batch().
// Between begin and end one packed Gram is kept per position. Products are taken in float32 over
// short runs and summed in float64. The result depends on neither the number of threads nor the
// order of the add calls.
class StreamingCka {
 public:
  explicit StreamingCka(size_t positions, CkaOptions options = {});

  // kUsage if a batch is open, or if `images` is below 2 (biased) or 4 (unbiased).
  void begin_batch(size_t images);

  // features is (images, dim), row major: the pooled features of one position. They are read now
  // and not kept. kUsage: position out of range, or given twice; kNumeric: a NaN or an infinity.
  void add(size_t position, const float* features, size_t images, size_t dim);

  // The same from what unit_gram made, which must stay where it is until the batch is ended.
  void add_gram(size_t position, const float* packed, double norm);

  // kUsage if a position is missing. On a stop it throws kInterrupted and the batch is forgotten.
  void end_batch(const Control& control = {});

  // Instead of add, add_gram and end_batch: the inner products of all pairs of the batch's unit
  // Grams (positions, positions), of which the upper triangle is read, and the Grams' norms.
  void end_batch(const Matrix& products, std::span<const double> norms);

  // Forgets the batch begun, if any; earlier ones stay.
  void abandon_batch();

  // (positions, positions), symmetric, diagonal 1. A position without variance has similarity 0 to
  // every other. kUsage before the first end_batch.
  Matrix similarity() const;

  size_t positions() const { return positions_; }
  size_t batches() const { return batches_; }
  // Heap bytes held now, and what a batch of `images` needs at its height beside its Grams.
  size_t bytes() const;
  static size_t working_bytes(size_t positions, size_t images);

 private:
  void check_position(size_t position) const;

  size_t positions_;
  CkaOptions options_;
  size_t batches_ = 0;
  size_t images_ = 0;                    // of the open batch; 0 when none is open
  std::vector<std::vector<float>> own_;  // Grams made here, by position
  std::vector<const float*> grams_;      // of the open batch; null where missing
  std::vector<double> norms_;            // of the centred Grams of the open batch
  Matrix total_;  // upper triangle: sum of ratios (biased) or of HSIC_1 (unbiased)
};

}  // namespace kintsugi::solvers

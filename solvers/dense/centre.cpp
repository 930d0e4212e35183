#include "kintsugi/solvers/dense/centre.h"

#include <cmath>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::solvers::dense {

std::vector<float> centred(const float* features, size_t rows, size_t dim, size_t position) {
  std::vector<double> mean(dim, 0);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t c = 0; c < dim; ++c) mean[c] += features[i * dim + c];
  }
  for (size_t c = 0; c < dim; ++c) {
    mean[c] /= double(rows);
    // A NaN or an infinity anywhere in a column shows in its sum: floats cannot overflow a
    // double's.
    if (!std::isfinite(mean[c])) {
      fail(ErrorKind::kNumeric, "similarity: channel ", c, " of position ", position,
           " holds a NaN or an infinity");
    }
  }
  std::vector<float> out(rows * dim);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t c = 0; c < dim; ++c) out[i * dim + c] = float(features[i * dim + c] - mean[c]);
  }
  return out;
}

}  // namespace kintsugi::solvers::dense

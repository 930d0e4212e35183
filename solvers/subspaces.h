// Similarities that compare the subspaces that features span: CCA, SVCCA and linear regression. One
// thin SVD a position; then every pair, and all three, is one product of orthonormal bases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kintsugi/solvers/control.h"
#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers {

struct Projection {
  enum class Method {
    kNone,       // features as they are
    kPrincipal,  // onto their strongest principal components
    kRandom,     // times a seeded Gaussian matrix, the same for all positions of as many channels
  };
  Method method = Method::kPrincipal;
  // At most, and at most a quarter of the rows: bases that fill the space of the rows agree with
  // each other whatever the features. Features of fewer channels are not projected.
  size_t dims = 256;
  uint64_t seed = 0;
};

// U diag(s) V^T of the features of one position: centred, projected, of variance 1 in all before
// the projection. Directions weaker than 1e-5 of the strongest are float32's noise and left out.
struct Basis {
  size_t rows = 0;
  std::vector<float> u;   // (rank, rows), orthonormal, the strongest first
  std::vector<double> s;  // singular values, rank of them; none: the features are constant

  size_t rank() const { return s.size(); }
  double kept() const;  // the share of the variance that the projection kept; about 1 for a random
};

// features is (rows, channels), row major. A principal projection of much wider features is found
// by subspace iteration (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1). kUsage: fewer
// than 5 rows; kNumeric, naming `position`: a NaN or an infinity; kInterrupted on a stop.
Basis basis_of(const float* features, size_t rows, size_t channels, size_t position,
               const Projection& projection, const Control& control = {});

// The most dimensions that a projection leaves of features of so many rows.
size_t projected_dims(size_t rows, const Projection& projection);

// At most, for one position: what keeping its basis takes, and what finding it takes beside that.
size_t basis_bytes(size_t rows, size_t channels, const Projection& projection);
size_t basis_working_bytes(size_t rows, size_t channels, const Projection& projection);

enum class SubspaceMetric {
  // Mean squared canonical correlation, |Ua^T Ub|^2 / min(ranks): R^2_CCA of Kornblith et al. 2019.
  kCca,
  // Mean canonical correlation of the directions that hold 99 % of each variance (Raghu et al.
  // 2017).
  kSvcca,
  // R^2 of ridge regression. Directed: ROW PREDICTS COLUMN. In-sample, but adjusted for the degrees
  // of freedom that the fit took: 1 - (SSE / (n - 1 - df)) / (SST / (n - 1)) with
  // df = tr(2H - H^2), H the hat matrix, so that features that have nothing to do with each other
  // tend to 0 also where channels are many. Below 0 counts as 0.
  kLinearRegression,
};

struct SubspaceOptions {
  SubspaceMetric metric = SubspaceMetric::kCca;
  // Of the mean squared singular value; linear regression. Raised where df would pass half of the
  // rows: then channels may exceed images.
  double ridge = 1e-6;
};

struct PairSimilarity {
  double forward = 0;   // from the first to the second
  double backward = 0;  // the same, unless the metric is directed
};

// In [0,1]; 0 where one of the two is constant. kShape: different rows. kUsage: a basis that fills
// more than half of the rows, for CCA and SVCCA (more images, or a projection).
PairSimilarity pair_similarity(const Basis& a, const Basis& b, const SubspaceOptions& options);

// All pairs; the diagonal is 1. Symmetric unless the metric is directed. The same bits for any
// number of threads. kInterrupted on a stop.
Matrix subspace_similarity(std::span<const Basis> bases, const SubspaceOptions& options,
                           const Control& control = {});

}  // namespace kintsugi::solvers

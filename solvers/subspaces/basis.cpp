// The thin SVD of one position's projected features.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/random.h"
#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/solvers/dense/centre.h"
#include "kintsugi/solvers/dense/eigen.h"
#include "kintsugi/solvers/dense/products.h"
#include "kintsugi/solvers/subspaces.h"

namespace kintsugi::solvers {

namespace {

constexpr size_t kOversampling = 32;  // columns of the sketch beyond those that are wanted
constexpr int kPowerSteps = 2;
constexpr double kWeakest = 1e-10;  // of the strongest direction's variance

using dense::Strided;

// A matrix with orthonormal rows (rank, rows) and the singular values that go with them.
struct ThinSvd {
  Matrix u;
  std::vector<double> s;
};

size_t strong(const std::vector<double>& variances, size_t most) {
  size_t rank = 0;
  while (rank < std::min(most, variances.size()) && variances[rank] > 0 &&
         variances[rank] > kWeakest * variances[0]) {
    ++rank;
  }
  return rank;
}

// Of x (rows, cols) by the eigenvectors of the smaller of x^T x and x x^T.
ThinSvd thin_svd(const std::vector<double>& x, size_t rows, size_t cols, size_t most) {
  const bool tall = cols <= rows;
  const size_t n = tall ? cols : rows, k = tall ? rows : cols;
  Matrix gram(n, n);
  const Strided<double> side =
      tall ? Strided<double>{x.data(), 1, cols} : Strided<double>{x.data(), cols, 1};
  dense::add_products<double>(n, n, k, side, side, 1, gram.values.data(), n, dense::Part::kUpper);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) gram(i, j) = gram(j, i);
  }
  const std::vector<double> variances = dense::symmetric_eigen(gram, dense::Vectors::kYes);
  ThinSvd out;
  const size_t rank = strong(variances, most);
  for (size_t r = 0; r < rank; ++r) out.s.push_back(std::sqrt(variances[r]));
  out.u = Matrix(rank, rows);
  if (tall) {
    dense::add_products<double>(rank, rows, cols, {gram.values.data(), n, 1}, {x.data(), cols, 1},
                                1, out.u.values.data(), rows);
    for (size_t r = 0; r < rank; ++r) {
      for (double& v : out.u.row(r)) v /= out.s[r];
    }
  } else {
    std::copy_n(gram.values.begin(), rank * rows, out.u.values.begin());
  }
  return out;
}

// (channels, dims) standard normals: a function of the seed, channels and dims alone.
std::vector<float> gaussian(size_t channels, size_t dims, uint64_t seed) {
  std::vector<float> out(channels * dims);
  for (size_t i = 0; i < out.size(); i += 2) {
    const auto bits = philox4x32({uint32_t(i), uint32_t(i >> 32), uint32_t(channels), 0x9e37},
                                 {uint32_t(seed), uint32_t(seed >> 32)});
    const auto uniform = [&](size_t at) {
      return (double((uint64_t(bits[at]) << 21) ^ bits[at + 1]) + 0.5) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(uniform(0))), angle = 2 * M_PI * uniform(2);
    out[i] = float(radius * std::cos(angle));
    if (i + 1 < out.size()) out[i + 1] = float(radius * std::sin(angle));
  }
  return out;
}

// x (rows, channels) times m (channels, dims).
std::vector<double> product(const std::vector<float>& x, size_t rows, size_t channels,
                            const std::vector<float>& m, size_t dims) {
  std::vector<double> out(rows * dims, 0);
  dense::add_products<float>(rows, dims, channels, {x.data(), channels, 1}, {m.data(), 1, dims}, 1,
                             out.data(), dims);
  return out;
}

// The columns of y (rows, dims) replaced by others that span the same and are orthogonal up to
// rounding: only the conditioning of the next product hangs on it.
std::vector<float> conditioned(const std::vector<double>& y, size_t rows, size_t dims) {
  Matrix gram(dims, dims);
  const Strided<double> columns{y.data(), 1, dims};
  dense::add_products<double>(dims, dims, rows, columns, columns, 1, gram.values.data(), dims,
                              dense::Part::kUpper);
  double trace = 0;
  for (size_t i = 0; i < dims; ++i) trace += gram(i, i);
  for (size_t i = 0; i < dims; ++i) gram(i, i) += 1e-12 * trace;
  dense::factorise(gram, 0);
  // y U^-1, by stretches of rows that stay in the cache.
  constexpr size_t kRows = 64;
  std::vector<float> out(rows * dims);
  cpu::parallel_for(int64_t((rows + kRows - 1) / kRows), 1, [&](int64_t begin, int64_t end) {
    std::vector<double> turned(dims * kRows);
    for (size_t first = size_t(begin) * kRows; first < std::min(rows, size_t(end) * kRows);
         first += kRows) {
      const size_t count = std::min(kRows, rows - first);
      for (size_t c = 0; c < dims; ++c) {
        double* const to = turned.data() + c * kRows;
        for (size_t r = 0; r < count; ++r) to[r] = y[(first + r) * dims + c];
        for (size_t i = 0; i < c; ++i) {
          const double factor = gram(i, c);
          const double* const from = turned.data() + i * kRows;
          for (size_t r = 0; r < count; ++r) to[r] -= factor * from[r];
        }
        for (size_t r = 0; r < count; ++r) {
          to[r] /= gram(c, c);
          out[(first + r) * dims + c] = float(to[r]);
        }
      }
    }
  });
  return out;
}

// The strongest `dims` left singular vectors of x (rows, channels).
ThinSvd sketched_svd(const std::vector<float>& x, size_t rows, size_t channels, size_t dims,
                     uint64_t seed, const std::function<void()>& check) {
  const size_t width = dims + kOversampling;
  std::vector<double> y = product(x, rows, channels, gaussian(channels, width, seed), width);
  for (int step = 0; step < kPowerSteps; ++step) {
    check();
    const std::vector<float> q = conditioned(y, rows, width);
    std::vector<double> z(channels * width, 0);
    dense::add_products<float>(channels, width, rows, {x.data(), 1, channels}, {q.data(), 1, width},
                               1, z.data(), width);
    check();
    y = product(x, rows, channels, conditioned(z, channels, width), width);
  }
  check();
  const ThinSvd range = thin_svd(y, rows, width, width);
  const size_t rank = range.s.size();
  // b = Q^T x holds all that x has in the range; its left singular vectors turn Q into x's.
  const std::vector<float> q(range.u.values.begin(), range.u.values.end());
  std::vector<double> b(rank * channels, 0);
  dense::add_products<float>(rank, channels, rows, {q.data(), rows, 1}, {x.data(), 1, channels}, 1,
                             b.data(), channels);
  check();
  ThinSvd inner = thin_svd(b, rank, channels, dims);
  ThinSvd out{Matrix(inner.s.size(), rows), std::move(inner.s)};
  dense::add_products<double>(out.s.size(), rows, rank, {inner.u.values.data(), rank, 1},
                              {range.u.values.data(), 1, rows}, 1, out.u.values.data(), rows);
  return out;
}

}  // namespace

double Basis::kept() const {
  return std::inner_product(s.begin(), s.end(), s.begin(), 0.0);
}

size_t projected_dims(size_t rows, const Projection& projection) {
  if (projection.method == Projection::Method::kNone) return rows;
  return std::max<size_t>(1, std::min(projection.dims, rows / 4));
}

size_t basis_bytes(size_t rows, size_t channels, const Projection& projection) {
  const size_t rank = std::min(channels, projected_dims(rows, projection));
  return rank * (rows * sizeof(float) + sizeof(double));
}

size_t basis_working_bytes(size_t rows, size_t channels, const Projection& projection) {
  const size_t x = rows * channels * sizeof(float);
  const size_t side = std::min(rows, channels);
  const size_t dims = projected_dims(rows, projection), width = dims + kOversampling;
  using Method = Projection::Method;
  if (projection.method == Method::kRandom && channels > dims) {
    return x + channels * dims * sizeof(float) + (rows + 3 * dims) * dims * sizeof(double);
  }
  if (projection.method == Method::kPrincipal && side > 2 * width) {
    return x + 2 * (rows + channels) * width * (sizeof(float) + sizeof(double)) +
           3 * width * width * sizeof(double);
  }
  return 3 * x + (side * rows + 3 * side * side) * sizeof(double);
}

Basis basis_of(const float* features, size_t rows, size_t channels, size_t position,
               const Projection& projection, const Control& control) {
  if (rows < 5 || channels == 0) {
    fail(ErrorKind::kUsage, "similarity: features of position ", position, " are (", rows, ", ",
         channels, "), expected (5 or more, 1 or more)");
  }
  const auto check = [&] {
    if (control.stop.stop_requested()) fail(ErrorKind::kInterrupted, "similarity: stopped");
  };
  check();
  std::vector<float> x = dense::centred(features, rows, channels, position);
  double variance = 0;
  for (const float v : x) variance += double(v) * v;
  Basis out;
  out.rows = rows;
  if (variance == 0) return out;
  const double scale = 1 / std::sqrt(variance);
  for (float& v : x) v = float(v * scale);

  const size_t dims = projected_dims(rows, projection);
  const bool projected = channels > dims;
  ThinSvd svd;
  if (projected && projection.method == Projection::Method::kRandom) {
    std::vector<double> y =
        product(x, rows, channels, gaussian(channels, dims, projection.seed), dims);
    for (double& v : y) v /= std::sqrt(double(dims));
    svd = thin_svd(y, rows, dims, dims);
  } else if (projected && std::min(rows, channels) > 2 * (dims + kOversampling)) {
    svd = sketched_svd(x, rows, channels, dims, projection.seed, check);
  } else {
    svd = thin_svd({x.begin(), x.end()}, rows, channels, projected ? dims : rows);
  }
  out.s = std::move(svd.s);
  out.u.assign(svd.u.values.begin(), svd.u.values.end());
  return out;
}

}  // namespace kintsugi::solvers

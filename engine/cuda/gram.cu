#include "kintsugi/engine/cuda/gram.h"

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/blas.h"
#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

constexpr int64_t kRun = 256;                    // terms summed in f32
constexpr int64_t kPartials = int64_t{4} << 20;  // f32 sums held at once, or one product's
constexpr int kMedianThreads = 1024;
constexpr size_t kScratch = 32 * sizeof(double);  // of block_sum

__global__ void add_runs(int64_t elements, int64_t runs, const float* partial, double* sum) {
  for (int64_t i = grid_first(); i < elements; i += grid_step()) {
    double total = sum[i];
    for (int64_t r = 0; r < runs; ++r) total += double(partial[r * elements + i]);
    sum[i] = total;
  }
}

// |x_i - x_j|^2 from inner products. A NaN stays.
__global__ void distances(int64_t n, const double* products, double* apart) {
  for (int64_t e = grid_first(); e < n * n; e += grid_step()) {
    const int64_t i = e / n, j = e - i * n;
    const double d = products[i * n + i] + products[j * n + j] - 2 * products[e];
    apart[e] = i == j || d < 0 ? 0 : d;
  }
}

// One block: the mean of the two middle ones of values that are not negative. Their bits, read as
// integers, rise with them: from the highest on, a bit of the one of a rank is set where no more
// values than the rank lie below.
__global__ void __launch_bounds__(kMedianThreads)
    median_of(int64_t count, const double* values, double* median) {
  int64_t* shared = dynamic_shared<int64_t>();
  int64_t lower = 0, upper = 0;
  for (int bit = 62; bit >= 0; --bit) {
    const int64_t step = int64_t{1} << bit;
    int64_t below_lower = 0, below_upper = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
      const int64_t bits = __double_as_longlong(values[i]);
      below_lower += bits < lower + step;
      below_upper += bits < upper + step;
    }
    if (block_sum(below_lower, shared) <= (count - 1) / 2) lower += step;
    if (block_sum(below_upper, shared) <= count / 2) upper += step;
  }
  if (threadIdx.x == 0) *median = (__longlong_as_double(lower) + __longlong_as_double(upper)) / 2;
}

// More than half of the pairs alike: the limit of a bandwidth that tends to zero. A NaN stays.
__device__ __forceinline__ double gaussian(double apart, double median) {
  return apart == 0 ? 1 : median == 0 ? 0 * apart : exp(-apart / (2 * median));
}

// A block a row, here and below. With a median, distances become their kernel first.
__global__ void row_sums(int64_t n, bool unbiased, const double* median, double* gram,
                         double* sums) {
  for (int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    double sum = 0;
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x) {
      double& value = gram[i * n + j];
      if (median) value = gaussian(value, *median);
      if (i != j || !unbiased) sum += value;
    }
    sum = block_sum(sum, dynamic_shared<double>());
    if (threadIdx.x == 0) sums[i] = sum;
  }
}

// The sum of n numbers, the same in every block.
__device__ __forceinline__ double sum_of(int64_t n, const double* values) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += values[i];
  return block_sum(sum, dynamic_shared<double>());
}

// The upper triangle centred, and each row's share of the squared norm.
__global__ void centre(int64_t n, bool unbiased, const double* sums, double* gram,
                       double* squares) {
  const double m = double(n), one = unbiased ? m - 2 : m;
  const double mean = sum_of(n, sums) / (unbiased ? (m - 1) * (m - 2) : m * m);
  for (int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    double square = 0;
    for (int64_t j = i + threadIdx.x; j < n; j += blockDim.x) {
      double& value = gram[i * n + j];
      value = unbiased && i == j ? 0 : value + mean - (sums[i] + sums[j]) / one;
      square += (i == j ? 1 : 2) * value * value;
    }
    square = block_sum(square, dynamic_shared<double>());
    if (threadIdx.x == 0) squares[i] = square;
  }
}

__global__ void pack(int64_t n, const double* gram, const double* squares, float* packed,
                     double* norm) {
  const double length = sqrt(sum_of(n, squares));
  for (int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    float* to = packed + i * n - i * (i + 1) / 2;
    for (int64_t j = i + threadIdx.x; j < n; j += blockDim.x) {
      const double weight = i == j ? 1 : 1.4142135623730951;
      to[j] = length > 0 ? float(weight * gram[i * n + j] / length) : 0;
    }
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) *norm = length;
}

}  // namespace

bool add_row_products(const Tensor& x, const Tensor& sum) {
  constexpr const char* kOp = "add_row_products";
  const int64_t m = x.size(0), k = x.size(1);
  if (x.numel() == 0) return true;
  const ScopedSet exact(Context::current().math, Math::kF32);
  const int64_t at_once = std::clamp<int64_t>(kPartials / (m * m), 1, (k + kRun - 1) / kRun);
  const Tensor partial = Tensor::empty({at_once, m, m}, DType::kF32, x.device());
  Gemm g;
  g.m = g.n = m;
  g.a_row = g.b_row = m == 1 ? k : x.strides()[0];
  g.y_row = m;
  g.b_transposed = true;
  g.y = pointer<float>(partial);
  g.a_step = g.b_step = kRun;
  g.y_step = m * m;
  for (int64_t from = 0; from < k; from += g.batch * g.k) {
    g.a = g.b = pointer<float>(x) + from;
    g.k = std::min(kRun, k - from);
    g.batch = std::clamp<int64_t>((k - from) / kRun, 1, at_once);
    gemm(kOp, g);
    launch(kOp, add_runs, blocks_for(m * m), kThreads, 0, m * m, g.batch, g.y,
           pointer<double>(sum));
  }
  return true;
}

bool unit_gram(const Tensor& products, const ops::GramKind& kind, const Tensor& packed,
               const Tensor& norm) {
  constexpr const char* kOp = "unit_gram";
  const int64_t n = products.size(0);
  const auto doubles = [&](const Shape& shape) {
    return Tensor::empty(shape, DType::kF64, products.device());
  };
  Tensor gram = products, median;
  if (kind.rbf) {
    gram = doubles({n, n});
    median = doubles({1});
    launch(kOp, distances, blocks_for(n * n), kThreads, 0, n, pointer<double>(products),
           pointer<double>(gram));
    const auto wide = std::clamp<int64_t>(n * n / 256 * 32, 32, kMedianThreads);
    launch(kOp, median_of, 1, unsigned(wide), kScratch, n * n, pointer<double>(gram),
           pointer<double>(median));
  }
  const Tensor sums = doubles({n}), squares = doubles({n});
  const unsigned blocks = blocks_for(n, 1), threads = threads_for_row(n);
  launch(kOp, row_sums, blocks, threads, kScratch, n, kind.unbiased, pointer<double>(median),
         pointer<double>(gram), pointer<double>(sums));
  launch(kOp, centre, blocks, threads, kScratch, n, kind.unbiased, pointer<double>(sums),
         pointer<double>(gram), pointer<double>(squares));
  launch(kOp, pack, blocks, threads, kScratch, n, pointer<double>(gram), pointer<double>(squares),
         pointer<float>(packed), pointer<double>(norm));
  return true;
}

}  // namespace kintsugi::cuda

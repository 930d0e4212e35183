#include "kintsugi/engine/cuda/column_sums.h"

#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

// A block sums `lanes` times kWidth channels of an image over a part of
// its cells, each thread every blockDim.x / lanes-th of them; threads of one lane are added in
// their order through shared memory, parts by `sum_parts`.
template <int kWidth>
__global__ void sum_kernel(int64_t cells, int channels, int lanes, int chunks, int parts,
                           double scale, const float* x, double* partial, float* y) {
  double* shared = dynamic_shared<double>();  // kWidth a thread
  const int part = int(blockIdx.x % unsigned(parts));
  const int chunk = int(blockIdx.x / unsigned(parts) % unsigned(chunks));
  const int64_t n = blockIdx.x / unsigned(parts) / unsigned(chunks);
  const int lane = int(threadIdx.x) % lanes, first = int(threadIdx.x) / lanes;
  const int threads = int(blockDim.x) / lanes, c = (chunk * lanes + lane) * kWidth;
  const int64_t begin = cells * part / parts, end = cells * (part + 1) / parts;
  double sum[kWidth] = {};
  if (c < channels) {
    const float* from = x + n * cells * channels + c;
    int64_t at = begin + first;
    for (; at + 3 * threads < end; at += 4 * threads) {
      float value[4][kWidth];
      for (int u = 0; u < 4; ++u) load(from + (at + u * threads) * channels, value[u]);
      for (int u = 0; u < 4; ++u) {
        for (int k = 0; k < kWidth; ++k) sum[k] += double(value[u][k]);
      }
    }
    for (; at < end; at += threads) {
      float value[kWidth];
      load(from + at * channels, value);
      for (int k = 0; k < kWidth; ++k) sum[k] += double(value[k]);
    }
  }
  for (int k = 0; k < kWidth; ++k) shared[k * int(blockDim.x) + int(threadIdx.x)] = sum[k];
  __syncthreads();
  if (first != 0 || c >= channels) return;
  for (int k = 0; k < kWidth; ++k) {
    double total = 0;
    for (int t = 0; t < threads; ++t) total += shared[k * int(blockDim.x) + t * lanes + lane];
    const int64_t to = n * channels + c + k;
    if (parts == 1)
      y[to] = float(total * scale);
    else
      partial[to * parts + part] = total;
  }
}

__global__ void sum_parts(int64_t n, int parts, double scale, const double* partial, float* y) {
  for (int64_t i = grid_first(); i < n; i += grid_step()) {
    double sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[i * parts + part];
    y[i] = float(sum * scale);
  }
}

constexpr int64_t kPlenty = 1024;  // blocks that fill any device

void sum(const char* op, const Tensor& x, int64_t images, int64_t cells, double scale,
         const Tensor& y) {
  const int64_t channels = x.size(1);
  const bool four = in_fours(channels, x.address());
  const int64_t groups = four ? channels / 4 : channels;
  int lanes = 1;
  while (lanes < 32 && lanes < groups) lanes *= 2;
  const int64_t chunks = (groups + lanes - 1) / lanes, each = cells * lanes / kThreads;
  const int64_t parts =
      std::clamp<int64_t>(std::min(kPlenty / (images * chunks), each / 16), 1, 256);
  const int64_t blocks = images * chunks * parts;
  if (blocks > 0x7fffffff)
    fail(ErrorKind::kShape, op, ": got shape ", x.shape(), ", too many sums");
  Tensor partial;
  if (parts > 1) partial = Tensor::empty({images, channels, parts}, DType::kF64, x.device());
  launch(op, four ? sum_kernel<4> : sum_kernel<1>, unsigned(blocks), kThreads,
         (four ? 4 : 1) * kThreads * sizeof(double), cells, int(channels), lanes, int(chunks),
         int(parts), scale, pointer<float>(x), pointer<double>(partial), pointer<float>(y));
  if (parts == 1) return;
  const int64_t n = images * channels;
  launch(op, sum_parts, blocks_for(n), kThreads, 0, n, int(parts), scale, pointer<double>(partial),
         pointer<float>(y));
}

}  // namespace

void scaled_column_sums(const char* op, const Tensor& x, double scale, const Tensor& y) {
  sum(op, x, x.size(0), x.size(2) * x.size(3), scale, y);
}

void column_sums(const char* op, const Tensor& x, const Tensor& y) {
  sum(op, x, 1, x.size(0) * x.size(2) * x.size(3), 1, y);
}

}  // namespace kintsugi::cuda

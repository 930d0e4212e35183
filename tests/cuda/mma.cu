#include "tests/cuda/mma.h"

#include "kintsugi/engine/cuda/async.h"
#include "kintsugi/engine/cuda/mma.h"

namespace kintsugi::test {

namespace {

// The fragments word by word from the header's table, by an arithmetic of its own.
__global__ void tf32_kernel(const float* a, const float* b, float* d) {
  const int warp = int(threadIdx.x) / 32, g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4;
  a += warp * 16 * 8;
  b += warp * 8 * 8;
  d += warp * 16 * 8;
  const uint32_t left[4] = {cuda::to_tf32(a[g * 8 + t]), cuda::to_tf32(a[(g + 8) * 8 + t]),
                            cuda::to_tf32(a[g * 8 + t + 4]), cuda::to_tf32(a[(g + 8) * 8 + t + 4])};
  const uint32_t right[2] = {cuda::to_tf32(b[t * 8 + g]), cuda::to_tf32(b[(t + 4) * 8 + g])};
  float sum[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t],
                  d[(g + 8) * 8 + 2 * t + 1]};
  cuda::mma_tf32(sum, left, right);
  d[g * 8 + 2 * t] = sum[0];
  d[g * 8 + 2 * t + 1] = sum[1];
  d[(g + 8) * 8 + 2 * t] = sum[2];
  d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

__global__ void bf16_kernel(const float* a, const float* b, float* d) {
  const int warp = int(threadIdx.x) / 32, g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4;
  a += warp * 16 * 16;
  b += warp * 16 * 8;
  d += warp * 16 * 8;
  const auto two_of_a = [&](int row, int k) {
    return cuda::pack_bf16(a[row * 16 + k], a[row * 16 + k + 1]);
  };
  const auto two_of_b = [&](int k) { return cuda::pack_bf16(b[k * 8 + g], b[(k + 1) * 8 + g]); };
  const uint32_t left[4] = {two_of_a(g, 2 * t), two_of_a(g + 8, 2 * t), two_of_a(g, 2 * t + 8),
                            two_of_a(g + 8, 2 * t + 8)};
  const uint32_t right[2] = {two_of_b(2 * t), two_of_b(2 * t + 8)};
  float sum[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t],
                  d[(g + 8) * 8 + 2 * t + 1]};
  cuda::mma_bf16(sum, left, right);
  d[g * 8 + 2 * t] = sum[0];
  d[g * 8 + 2 * t + 1] = sum[1];
  d[(g + 8) * 8 + 2 * t] = sum[2];
  d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

// Rows 16 bytes further apart than they are long.
constexpr int kRowBytes = 32;

__global__ void matrices_kernel(const uint16_t* matrices, uint32_t* words) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  unsigned char* mine = cuda::dynamic_shared<unsigned char>() + int(threadIdx.x) * kRowBytes;
  for (int j = 0; j < 8; ++j) {
    reinterpret_cast<uint16_t*>(mine)[j] = matrices[(warp * 32 + lane) * 8 + j];
  }
  __syncthreads();
  uint32_t plain[4], turned[4];
  cuda::load_matrices(plain, cuda::shared_at(mine));
  cuda::load_transposed(turned, cuda::shared_at(mine));
  for (int i = 0; i < 4; ++i) {
    words[int(threadIdx.x) * 4 + i] = plain[i];
    words[(int(blockDim.x) + int(threadIdx.x)) * 4 + i] = turned[i];
  }
}

__global__ void stream_kernel(int steps, const float* x, float* y) {
  constexpr int kStages = 3;
  const int threads = int(blockDim.x), thread = int(threadIdx.x), other = (thread + 37) % threads;
  float* shared = cuda::dynamic_shared<float>();
  const auto fill = [&](int step) {
    if (step < steps) {
      const float* from = x + (step * threads + thread) * 4;
      cuda::copy_async<false>(
          cuda::shared_at(shared + (step % kStages * threads + thread) * 4), from, from[0] >= 0);
    }
    cuda::close_group();
  };
  for (int step = 0; step < kStages - 1; ++step) fill(step);
  for (int step = 0; step < steps; ++step) {
    cuda::wait_for_groups<kStages - 2>();
    __syncthreads();
    fill(step + kStages - 1);
    for (int i = 0; i < 4; ++i) {
      y[(step * threads + other) * 4 + i] = shared[(step % kStages * threads + other) * 4 + i];
    }
  }
}

}  // namespace

void add_products_tf32(const Tensor& a, const Tensor& b, const Tensor& d) {
  cuda::launch("mma", tf32_kernel, 1, unsigned(32 * a.size(0)), 0, cuda::pointer<float>(a),
               cuda::pointer<float>(b), cuda::pointer<float>(d));
}
void add_products_bf16(const Tensor& a, const Tensor& b, const Tensor& d) {
  cuda::launch("mma", bf16_kernel, 1, unsigned(32 * a.size(0)), 0, cuda::pointer<float>(a),
               cuda::pointer<float>(b), cuda::pointer<float>(d));
}

void load_matrices(const Tensor& matrices, const Tensor& words) {
  const unsigned threads = unsigned(32 * matrices.size(0));
  cuda::launch("ldmatrix", matrices_kernel, 1, threads, threads * kRowBytes,
               cuda::pointer<uint16_t>(matrices), cuda::pointer<uint32_t>(words));
}

void stream(const Tensor& x, const Tensor& y) {
  const unsigned threads = unsigned(x.size(1));
  cuda::launch("cp.async", stream_kernel, 1, threads, 3 * threads * 16, int(x.size(0)),
               cuda::pointer<float>(x), cuda::pointer<float>(y));
}

}  // namespace kintsugi::test

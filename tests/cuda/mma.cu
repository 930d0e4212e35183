#include "tests/cuda/mma.h"

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

}  // namespace

void add_products_tf32(const Tensor& a, const Tensor& b, const Tensor& d) {
  cuda::launch("mma", tf32_kernel, 1, unsigned(32 * a.size(0)), 0, cuda::pointer<float>(a),
               cuda::pointer<float>(b), cuda::pointer<float>(d));
}
void add_products_bf16(const Tensor& a, const Tensor& b, const Tensor& d) {
  cuda::launch("mma", bf16_kernel, 1, unsigned(32 * a.size(0)), 0, cuda::pointer<float>(a),
               cuda::pointer<float>(b), cuda::pointer<float>(d));
}

}  // namespace kintsugi::test

#include "kintsugi/engine/cuda/async.h"

#include "tests/cuda/async.h"

namespace kintsugi::test {

namespace {

using cuda::pointer;

// A thread copies row t and row t + T / 2, and hands on what its neighbour has copied.
__global__ void copy_kernel(int rows, const BFloat16* x, const int32_t* count, BFloat16* y) {
  BFloat16* const shared = cuda::dynamic_shared<BFloat16>();
  const int half = rows / 2, t = int(threadIdx.x), other = (t + 1) % half;
  cuda::copy_async16(cuda::shared_at(shared + t * 8), x + t * 8, count[t] * 2);
  cuda::commit_async();
  cuda::copy_async16(cuda::shared_at(shared + (t + half) * 8), x + (t + half) * 8, count[t + half] * 2);
  cuda::commit_async();
  cuda::wait_async<1>();
  __syncthreads();
  for (int k = 0; k < 8; ++k) y[other * 8 + k] = shared[other * 8 + k];
  cuda::wait_async<0>();
  __syncthreads();
  for (int k = 0; k < 8; ++k) y[(other + half) * 8 + k] = shared[(other + half) * 8 + k];
}

__global__ void load_kernel(bool transposed, const BFloat16* x, BFloat16* y) {
  constexpr int kStride = 24;  // rows lie apart
  BFloat16* const shared = cuda::dynamic_shared<BFloat16>();
  const int lane = int(threadIdx.x);
  for (int k = 0; k < 8; ++k) shared[lane * kStride + k] = x[lane * 8 + k];
  __syncthreads();
  uint32_t words[4];
  if (transposed)
    cuda::ldmatrix_x4_trans(words, cuda::shared_at(shared + lane * kStride));
  else
    cuda::ldmatrix_x4(words, cuda::shared_at(shared + lane * kStride));
  for (int i = 0; i < 4; ++i) {
    y[lane * 8 + 2 * i] = BFloat16{uint16_t(words[i])};
    y[lane * 8 + 2 * i + 1] = BFloat16{uint16_t(words[i] >> 16)};
  }
}

}  // namespace

void copy_rows(const Tensor& x, const Tensor& count, const Tensor& y) {
  cuda::launch("copy_rows", copy_kernel, 1, unsigned(x.size(0) / 2), size_t(x.numel()) * 2,
               int(x.size(0)), pointer<BFloat16>(x), pointer<int32_t>(count), pointer<BFloat16>(y));
}

void load_fragments(const Tensor& x, const Tensor& y, bool transposed) {
  cuda::launch("load_fragments", load_kernel, 1, 32, 32 * 24 * 2, transposed, pointer<BFloat16>(x),
               pointer<BFloat16>(y));
}

}  // namespace kintsugi::test

// Launching kernels, and what they share: only .cu files include it. The same text compiles with nvcc
// and, in the tests, with g++ and an emulator. Never installed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/context.h"

#ifndef KINTSUGI_SIMT_EMULATED
#include <cuda_runtime.h>
#endif

namespace kintsugi::cuda {

inline constexpr int kThreads = 256;  // of a block, where nothing speaks for another number
inline constexpr int64_t kMaxBlocks = 1 << 20;

// Blocks for n elements, `per_block` each; kernels stride over the grid where they are too few.
inline unsigned blocks_for(int64_t n, int64_t per_block = kThreads) {
  return unsigned(std::clamp<int64_t>((n + per_block - 1) / per_block, 1, kMaxBlocks));
}

#ifdef KINTSUGI_SIMT_EMULATED

// Runs now, or is kept where the stream is being captured.
void submit(const char* op, dim3 grid, dim3 block, size_t shared_bytes,
            std::function<void()> thread);

template <class... Parameters, class... Arguments>
void launch(const char* op, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, const Arguments&... arguments) {
  submit(op, grid, block, shared_bytes,
         [=]() mutable { kernel(static_cast<Parameters>(arguments)...); });
}

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(simt::shared_memory());
}

#else

// An Error of kind kDevice that names op and launch.
void check_launch(const char* op, dim3 grid, dim3 block, size_t shared_bytes);
// Lets a kernel have as much as the device has; asked once, since that may wait for copies.
void allow_shared(const char* op, const void* kernel);

template <class... Parameters, class... Arguments>
void launch(const char* op, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, const Arguments&... arguments) {
  if (shared_bytes > 48 * 1024) allow_shared(op, reinterpret_cast<const void*>(kernel));
  kernel<<<grid, block, shared_bytes, static_cast<cudaStream_t>(current_stream())>>>(
      static_cast<Parameters>(arguments)...);
  check_launch(op, grid, block, shared_bytes);
}

template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char kintsugi_shared[];
  return reinterpret_cast<T*>(kintsugi_shared);
}

#endif

// The first element of this thread and its step in a loop over the grid.
__device__ __forceinline__ int64_t grid_first() {
  return int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ int64_t grid_step() { return int64_t(gridDim.x) * blockDim.x; }

}  // namespace kintsugi::cuda

// CUDA's SIMT language as ordinary C++: force-included before a .cu file, it lets g++ compile the
// kernels and run them on the CPU. A grid runs block by block; a block's threads are fibers,
// switched only where they meet (barriers, warp operations), in an order that changes from launch
// to launch. "Device" memory is the host's, a malloc a block where the allocator does not cache, so
// that AddressSanitizer sees what leaves it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#define KINTSUGI_SIMT_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline float2 make_float2(float x, float y) {
  return {x, y};
}

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace kintsugi::simt {

// Runs `thread` once for each thread of the grid; an Error names `op` where threads wait for each
// other in vain, or where the launch is one that no device takes.
void run(const char* op, dim3 grid, dim3 block, size_t shared_bytes,
         const std::function<void()>& thread);
// This block's shared memory, poisoned with NaN before the block starts.
void* shared_memory();
void barrier();

// Warp operations: `bytes` of each lane in `mask` are exchanged; at[lane] is valid for those lanes.
struct alignas(16) Slot {
  unsigned char bytes[128];
};
const Slot* exchange(unsigned mask, const void* value, size_t bytes);
int lane();

// What cp.async does: `bytes` are copied and zeros follow up to `whole`, but only when the thread
// waits for the group that they belong to. Until then the place holds NaN, for whoever reads too
// early or still.
void copy_later(void* to, const void* from, size_t bytes, size_t whole);
void close_group();
void wait_for_groups(int open);  // all but the `open` that were closed last

template <class T>
T from_lane(unsigned mask, T value, int source) {
  const Slot* slots = exchange(mask, &value, sizeof(T));
  if (source < 0 || source > 31 || !(mask >> source & 1)) return value;
  T out;
  std::memcpy(&out, slots[source].bytes, sizeof(T));
  return out;
}

}  // namespace kintsugi::simt

inline void __syncthreads() {
  kintsugi::simt::barrier();
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  const char none = 0;
  kintsugi::simt::exchange(mask, &none, 1);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = kintsugi::simt::lane();
  return kintsugi::simt::from_lane(mask, value, lane / width * width + (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int lane = kintsugi::simt::lane(), source = lane ^ bits;
  return kintsugi::simt::from_lane(mask, value, source / width > lane / width ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = kintsugi::simt::lane(), source = lane + int(delta);
  return kintsugi::simt::from_lane(mask, value, source / width == lane / width ? source : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = kintsugi::simt::lane(), source = lane - int(delta);
  return kintsugi::simt::from_lane(mask, value,
                                   source >= 0 && source / width == lane / width ? source : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const int holds = predicate != 0;
  const auto* slots = kintsugi::simt::exchange(mask, &holds, sizeof(holds));
  unsigned out = 0;
  for (int i = 0; i < 32; ++i) {
    int value = 0;
    if (mask >> i & 1) std::memcpy(&value, slots[i].bytes, sizeof(value));
    out |= unsigned(value) << i;
  }
  return out;
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}
template <class T>
T atomicAdd(T* at, T value) {
  const T old = *at;
  *at = old + value;
  return old;
}
inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}
inline double rsqrt(double x) {
  return 1 / std::sqrt(x);
}
inline float __uint_as_float(unsigned bits) {
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}
inline unsigned __float_as_uint(float x) {
  unsigned out;
  std::memcpy(&out, &x, 4);
  return out;
}
inline long long __double_as_longlong(double x) {
  long long out;
  std::memcpy(&out, &x, 8);
  return out;
}
inline double __longlong_as_double(long long bits) {
  double out;
  std::memcpy(&out, &bits, 8);
  return out;
}
template <class T>
T __ldg(const T* at) {
  return *at;
}

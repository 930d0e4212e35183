// Shared memory as bf16 tensor-core kernels fill and read it: copies that run while the thread goes
// on (cp.async), and fragments of mma.h by whole warps (ldmatrix; PTX ISA, "Data Movement and
// Conversion Instructions"). Never installed.
#pragma once

#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

// copy_async16: 16 bytes, of which the first `valid` come from `global` and the rest are zero; both
// addresses are multiples of 16. The thread's copies since the last commit_async make a group;
// wait_async<N> waits for all groups but the last N. Other threads see them after a barrier.
//
// ldmatrix_x4: four matrices of 8 x 8 bf16. Lane L gives the address, a multiple of 16, of row L %
// 8 of matrix L / 8 and gets in to[i] elements (L / 4, 2 (L % 4)) and the next of matrix i, of its
// transpose where `trans`.

#ifdef KINTSUGI_SIMT_EMULATED

inline void copy_async16(void* shared, const void* global, int valid) {
  simt::copy_later(shared, global, size_t(valid), 16);
}
inline void commit_async() {
  simt::close_group();
}
template <int N>
void wait_async() {
  simt::wait_for_groups(N);
}

namespace emulated {

inline void ldmatrix(uint32_t (&to)[4], const void* shared, bool trans) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) {
    fail(ErrorKind::kUsage, "ldmatrix: a row that is not aligned to 16 bytes");
  }
  const simt::Slot* slots = simt::exchange(0xffffffffu, &shared, sizeof(shared));
  const int g = simt::lane() / 4, t = simt::lane() % 4;
  for (int i = 0; i < 4; ++i) {
    uint32_t two[2];
    for (int k = 0; k < 2; ++k) {
      const int row = trans ? 2 * t + k : g, column = trans ? g : 2 * t + k;
      const uint16_t* line = nullptr;
      std::memcpy(&line, slots[i * 8 + row].bytes, sizeof(line));
      two[k] = line[column];
    }
    to[i] = two[0] | two[1] << 16;
  }
}

}  // namespace emulated

inline void ldmatrix_x4(uint32_t (&to)[4], const void* shared) {
  emulated::ldmatrix(to, shared, false);
}
inline void ldmatrix_x4_trans(uint32_t (&to)[4], const void* shared) {
  emulated::ldmatrix(to, shared, true);
}

#else

__device__ __forceinline__ uint32_t shared_address(const void* shared) {
  return uint32_t(__cvta_generic_to_shared(shared));
}

__device__ __forceinline__ void copy_async16(void* shared, const void* global, int valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(valid)
               : "memory");
}
__device__ __forceinline__ void commit_async() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N>
__device__ __forceinline__ void wait_async() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&to)[4], const void* shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(shared))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&to)[4], const void* shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(shared))
               : "memory");
}

#endif

}  // namespace kintsugi::cuda

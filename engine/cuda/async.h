// Copies into shared memory that go on while a block computes (cp.async), and loads of 8 by 8
// matrices of 16-bit elements in the order in which mma.h takes them (ldmatrix); sm_80 and later.
//   copy_async16(to, from, valid): 16 bytes, of which the first `valid` are read and the rest zero;
//     both ends are aligned. kAgain: the block reads them again soon, through the multiprocessor's
//     own cache.
//   commit_async(): the thread's copies since the last call are a group.
//   wait_async(): until no more than kOpen groups of this thread are under way; others' need a
//     barrier after it.
//   ldmatrix_x4(to, row): four, of which lanes 8i .. 8i+7 give the rows of matrix i, 16 aligned
//     bytes each. Lane L, with g = L / 4 and t = L % 4, gets of each the elements (g,2t) and
//     (g,2t+1), the first in the low half of a word; ldmatrix_x4_trans: (2t,g) and (2t+1,g).
// Never installed.
#pragma once

#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

// A place in shared memory, in bytes.
#ifdef KINTSUGI_SIMT_EMULATED
using SharedAt = unsigned char*;
#else
using SharedAt = uint32_t;
#endif

#ifdef KINTSUGI_SIMT_EMULATED

inline SharedAt shared_at(const void* address) {
  return static_cast<SharedAt>(const_cast<void*>(address));
}

namespace emulated {

// element(matrix, row, column)
template <class Use>
void exchange_rows(SharedAt row, const Use& use) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) {
    fail(ErrorKind::kUsage, "ldmatrix: a row that is not aligned to 16 bytes");
  }
  const simt::Slot* slots = simt::exchange(0xffffffffu, &row, sizeof(row));
  use([&](int matrix, int i, int j) {
    SharedAt from;
    std::memcpy(&from, slots[8 * matrix + i].bytes, sizeof(from));
    uint16_t element;
    std::memcpy(&element, from + 2 * j, sizeof(element));
    return uint32_t(element);
  });
}

}  // namespace emulated

inline void ldmatrix_x4(uint32_t (&to)[4], SharedAt row) {
  const int g = simt::lane() / 4, t = simt::lane() % 4;
  emulated::exchange_rows(row, [&](const auto& at) {
    for (int i = 0; i < 4; ++i) to[i] = at(i, g, 2 * t) | at(i, g, 2 * t + 1) << 16;
  });
}
inline void ldmatrix_x4_trans(uint32_t (&to)[4], SharedAt row) {
  const int g = simt::lane() / 4, t = simt::lane() % 4;
  emulated::exchange_rows(row, [&](const auto& at) {
    for (int i = 0; i < 4; ++i) to[i] = at(i, 2 * t, g) | at(i, 2 * t + 1, g) << 16;
  });
}

template <bool kAgain = false>
void copy_async16(SharedAt to, const void* from, int valid) {
  simt::copy_later(to, from, size_t(valid), 16);
}
inline void commit_async() {
  simt::close_group();
}
template <int kOpen>
void wait_async() {
  simt::wait_for_groups(kOpen);
}

#else

__device__ __forceinline__ SharedAt shared_at(const void* address) {
  return uint32_t(__cvta_generic_to_shared(address));
}

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&to)[4], SharedAt row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&to)[4], SharedAt row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}

template <bool kAgain = false>
__device__ __forceinline__ void copy_async16(SharedAt to, const void* from, int valid) {
  if constexpr (kAgain) {
    asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(valid)
                 : "memory");
  } else {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(valid)
                 : "memory");
  }
}
__device__ __forceinline__ void commit_async() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kOpen>
__device__ __forceinline__ void wait_async() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

#endif

}  // namespace kintsugi::cuda

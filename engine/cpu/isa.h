// Instruction sets, chosen once at run time. Never installed.
//
// A file in engine/cpu/simd/ is compiled once per instruction set in the namespace KINTSUGI_ISA and
// defines one table of function pointers there. Its header declares the table's type, then
//     KINTSUGI_KERNELS(SoftmaxKernels, softmax_kernels)
// gives `const SoftmaxKernels& softmax_kernels()`, the table of the best set that this machine has.
// The environment's KINTSUGI_ISA=baseline|avx2|avx512 lowers the choice (never raises it).
#pragma once

namespace kintsugi::cpu {

enum class Isa { kBaseline, kAvx2, kAvx512 };

Isa isa();
const char* name_of(Isa isa);

}  // namespace kintsugi::cpu

#ifdef KINTSUGI_X86_64
#define KINTSUGI_KERNELS(Type, name)                                  \
  namespace baseline { extern const Type name##_table; }              \
  namespace avx2 { extern const Type name##_table; }                  \
  namespace avx512 { extern const Type name##_table; }                \
  inline const Type& name() {                                         \
    switch (isa()) {                                                  \
      case Isa::kAvx512: return avx512::name##_table;                 \
      case Isa::kAvx2: return avx2::name##_table;                     \
      default: return baseline::name##_table;                         \
    }                                                                 \
  }
#else
#define KINTSUGI_KERNELS(Type, name)                                  \
  namespace baseline { extern const Type name##_table; }              \
  inline const Type& name() { return baseline::name##_table; }
#endif

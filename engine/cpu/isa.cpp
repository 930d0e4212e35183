#include "kintsugi/engine/cpu/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace kintsugi::cpu {

namespace {

Isa detect() {
#ifdef KINTSUGI_X86_64
  __builtin_cpu_init();
  Isa best = Isa::kBaseline;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::kAvx2;
  if (best == Isa::kAvx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    best = Isa::kAvx512;
  }
  if (const char* wanted = std::getenv("KINTSUGI_ISA")) {
    const std::string_view name = wanted;
    if (name == "baseline") best = Isa::kBaseline;
    if (name == "avx2") best = std::min(best, Isa::kAvx2);
  }
  return best;
#else
  return Isa::kBaseline;
#endif
}

}  // namespace

Isa isa() {
  static const Isa chosen = detect();
  return chosen;
}

const char* name_of(Isa isa) {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<int>(isa)];
}

}  // namespace kintsugi::cpu

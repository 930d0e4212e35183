#include "bench/ceilings.h"

#include <iomanip>
#include <thread>

#include "bench/bench.h"
#include "kintsugi/bench/simd/fma.h"
#include "kintsugi/engine/core/error.h"

namespace kintsugi::bench {

namespace {

void on_all(int threads, const std::function<void(int)>& work) {
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&work, i] { work(i); });
  work(0);
}

}  // namespace

Ceilings measure_ceilings(int threads, double seconds) {
  Ceilings ceilings;
  const cpu::FmaKernels& fma = cpu::fma_kernels();
  constexpr int64_t kRounds = 2'000'000;
  std::vector<float> sinks(size_t(threads) * 16);
  const double fma_seconds = best_of(
      seconds, {[&] {
        on_all(threads, [&](int i) { sinks[size_t(i) * 16] = fma.run(kRounds, 0.5f + float(i)); });
      }})[0];
  // x -> 0.999 x + s settles at 1000 s in every lane of every sum: the loop did its work.
  const float settled = float(fma.flops_per_round / 2) * 1000 * 0.5f;
  if (!(sinks[0] > 0.99f * settled && sinks[0] < 1.01f * settled)) {
    fail(ErrorKind::kNumeric, "bench: the multiply-add loop gave ", sinks[0], ", expected ",
         settled);
  }
  ceilings.gflops = double(threads) * double(kRounds * fma.flops_per_round) / fma_seconds * 1e-9;

  constexpr size_t kFloats = size_t(1) << 24;  // 64 MiB a stream
  std::vector<float> a(kFloats), b(kFloats, 1), c(kFloats, 2);
  const double triad = best_of(seconds, {[&] {
                                 on_all(threads, [&](int i) {
                                   const size_t begin = kFloats * size_t(i) / size_t(threads);
                                   const size_t end = kFloats * size_t(i + 1) / size_t(threads);
                                   for (size_t j = begin; j < end; ++j) a[j] = b[j] + 3 * c[j];
                                 });
                               }})[0];
  if (a.front() != 7 || a.back() != 7) {
    fail(ErrorKind::kNumeric, "bench: the triad gave ", a.back(), ", expected 7");
  }
  ceilings.gbytes = 3.0 * double(kFloats * sizeof(float)) / triad * 1e-9;
  return ceilings;
}

void print(std::ostream& out, const Ceilings& ceilings, int threads) {
  out << "ceiling of this machine, " << threads << (threads == 1 ? " thread, " : " threads, ")
      << cpu::name_of(cpu::isa()) << ": " << std::fixed << std::setprecision(1) << ceilings.gflops
      << " GFLOP/s (FMA), " << ceilings.gbytes << " GB/s (triad)" << std::endl;
}

}  // namespace kintsugi::bench

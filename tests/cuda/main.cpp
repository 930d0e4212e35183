// The engine's tests on a CUDA device, real or emulated: outputs are poisoned, tensors end where
// their memory ends, and f64, the oracle, takes the reference kernels through managed memory.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/allocator.h"

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what is stopped has said how far it came
  try {
    kintsugi::cuda::require_device(0);
  } catch (const kintsugi::Error& error) {
    std::printf("skipped: no device (%s)\n", error.what());
    return 77;
  }
  if (const char* seed = std::getenv("KINTSUGI_TEST_SEED")) std::printf("inputs: seed %s\n", seed);
  kintsugi::cuda::allocator_options() = {.cache = false, .poison = true, .managed = true};
  return doctest::Context(argc, argv).run();
}

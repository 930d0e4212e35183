// The emulator itself: what it runs right, what it refuses, what it brings to light.
#ifdef KINTSUGI_TEST_EMULATED

#include "tests/support/simt/simt.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "kintsugi/engine/ops/reduce.h"
#include "tests/cuda/in_use.h"
#include "tests/support/compare.h"
#include "tests/support/simt/device.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("emulator: indices, shared memory, barriers and warp operations") {
  std::vector<int> sums(6, -1);
  simt::run("test", dim3(3, 2), dim3(16, 6), 96 * sizeof(int), [&] {
    int* shared = static_cast<int*>(simt::shared_memory());
    const int thread = int(threadIdx.y * blockDim.x + threadIdx.x);
    shared[95 - thread] = thread + 1;
    __syncthreads();
    int value = shared[thread];
    for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(0xffffffffu, value, bits);
    __syncthreads();
    if (thread % 32 == 0) shared[thread / 32] = value;
    __syncthreads();
    if (thread == 0) {
      sums[blockIdx.y * gridDim.x + blockIdx.x] = shared[0] + shared[1] + shared[2];
    }
  });
  CHECK(sums == std::vector<int>(6, 96 * 97 / 2));
}

TEST_CASE("emulator: parts of a warp meet on their own") {
  std::vector<unsigned> votes(32);
  std::vector<int> below(32);
  simt::run("test", 1, 32, 0, [&] {
    const int lane = int(threadIdx.x);
    if (lane < 8) {
      votes[size_t(lane)] = __ballot_sync(0xffu, lane % 2);
      __syncwarp(0xffu);
    } else {
      votes[size_t(lane)] = __ballot_sync(0xffffff00u, lane == 9);
    }
    below[size_t(lane)] = __shfl_up_sync(0xffffffffu, lane, 1, 16);
  });
  for (size_t i = 0; i < 32; ++i) {
    CHECK(votes[i] == (i < 8 ? 0xaau : 0x200u));
    CHECK(below[i] == int(i % 16 == 0 ? i : i - 1));
  }
}

TEST_CASE("emulator: copies are there when their group has been waited for, and not before") {
  std::vector<uint32_t> from = {1, 2, 3, 4, 5, 6, 7, 8}, seen;
  simt::run("test", 1, 1, 32, [&] {
    auto* to = static_cast<uint32_t*>(simt::shared_memory());
    to[0] = to[4] = 0;
    const auto look = [&] { seen.insert(seen.end(), {to[0], to[3], to[4], to[7]}); };
    simt::copy_later(to, &from[0], 16, 16);
    simt::close_group();
    simt::copy_later(to + 4, &from[4], 8, 16);
    simt::close_group();
    look();
    simt::wait_for_groups(1);
    look();
    simt::wait_for_groups(0);
    look();
  });
  CHECK_ERROR(simt::run("test", 1, 1, 32,
                        [&] { simt::copy_later(simt::shared_memory(), &from[0], 16, 16); }),
              "test: a thread ended with copies that it did not wait for");
  constexpr uint32_t kNone = 0xffffffffu;
  CHECK(seen == std::vector<uint32_t>{kNone, kNone, kNone, kNone, 1, 4, kNone, kNone, 1, 4, 5, 0});
}

TEST_CASE("emulator: threads that wait in vain and launches that no device takes are errors") {
  CHECK_ERROR(simt::run("softmax", 1, 64, 0,
                        [] {
                          if (threadIdx.x < 16)
                            __syncwarp();
                          else
                            __syncthreads();
                        }),
              "softmax: the kernel's threads wait for each other in vain: 48 at a barrier, 16 at");
  CHECK_ERROR(simt::run("conv2d", 1, 2048, 0, [] {}), "conv2d: invalid launch");
  CHECK_ERROR(simt::run("conv2d", dim3(1, 70000), 32, 0, [] {}), "conv2d: invalid launch");
  CHECK_ERROR(simt::run("conv2d", 1, 32, 300 << 10, [] {}), "conv2d: invalid launch");
  int runs = 0;
  simt::run("after", 2, 32, 0, [&] { ++runs; });
  CHECK(runs == 64);
}

TEST_CASE("emulator: a missing barrier shows, since threads take turns in two orders") {
  std::vector<float> seen[2];
  for (auto& values : seen) {
    values.resize(64);
    simt::run("race", 1, 64, 64 * sizeof(float), [&] {
      float* shared = static_cast<float*>(simt::shared_memory());
      shared[threadIdx.x] = float(threadIdx.x);
      values[threadIdx.x] = shared[63 - threadIdx.x];
    });
  }
  size_t spoilt = 0;
  for (size_t i = 0; i < 64; ++i) {
    for (const auto& values : seen) spoilt += std::isnan(values[i]);
  }
  CHECK(spoilt >= 62);
}

TEST_CASE("emulator: a device that is not there, and one that is full") {
  const AsInUse in_use;
  simt::Device& device = simt::device();
  {
    const ScopedSet none(device.count, 0);
    std::thread([] {  // which has not used the device before
      CHECK_ERROR(Tensor::zeros({2}, DType::kF32, kTestDevice), "no device can be used");
      CHECK_ERROR(require(kTestDevice), "no device can be used");
    })
        .join();
  }
  const ScopedSet small(device.memory, device.used + (size_t{3} << 20));
  const auto of = [](int64_t kib) {
    return Tensor::full({kib * 256}, 1, DType::kF32, kTestDevice);
  };
  { const Tensor two = of(2048); }
  const Tensor other = of(2500);  // what is kept for reuse makes room
  CHECK(ops::sum(other).item() == 2500 * 256);
  CHECK_ERROR(of(1024), "allocator: cuda:0 has no room for 1048576 bytes");
  { const Tensor two = of(400); }
  {
    const cuda::ScopedPool own(std::make_shared<cuda::Pool>(0));
    const Tensor two = of(450);  // in a pool of its own, too
    CHECK(ops::sum(two).item() == 450 * 256);
  }
  CHECK(ops::sum(other).item() == 2500 * 256);
}

#endif

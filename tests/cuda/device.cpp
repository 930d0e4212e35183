// What surrounds the kernels: devices, memory, streams' order, replays. On a real device too.
#include <doctest/doctest.h>

#include <thread>

#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/engine/program/replay.h"
#include "tests/cuda/in_use.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("cuda: tensors move, convert and keep their order in memory") {
  const AsInUse in_use;
  Tensor host = Tensor::empty({2, 3, 5, 7}, DType::kF32, kCpu, MemoryFormat::kChannelsLast);
  Generator(1).uniform(host, -1, 1);
  const Tensor there = host.to(kTestDevice);
  CHECK(there.device() == kTestDevice);
  CHECK(there.is_channels_last());
  CHECK(error_of(there, host) == 0);
  CHECK(error_of(there.transpose(1, 3).contiguous(), host.transpose(1, 3)) == 0);
  CHECK(error_of(there.slice(2, 1, 4, 2).to(kCpu), host.slice(2, 1, 4, 2)) == 0);
  Tensor part = Tensor::zeros({2, 3, 10, 7}, DType::kF32, kTestDevice);
  part.slice(2, 0, 10, 2).copy_from(host);
  CHECK(error_of(part.slice(2, 0, 10, 2), host) == 0);
  CHECK(ops::sum(part.slice(2, 1, 10, 2)).item() == 0);
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kI64, DType::kU8, DType::kBool}) {
    CAPTURE(std::string(name_of(dtype)));
    const Tensor scaled = ops::affine(host, 100, 100).to(dtype);
    CHECK(scaled.to(kTestDevice).to(DType::kF32).to_vector<float>() ==
          scaled.to(DType::kF32).to_vector<float>());
    CHECK(ops::affine(host, 100, 100)
              .to(kTestDevice)
              .to(dtype)
              .to(kCpu)
              .to(DType::kF32)
              .to_vector<float>() == scaled.to(DType::kF32).to_vector<float>());
  }
}

TEST_CASE("cuda: large tensors travel in chunks, and the host's may change at once") {
  const AsInUse in_use;
  Tensor host = Tensor::empty({5, 1'000'003}, DType::kF32);
  for (int64_t i = 0; i < host.numel(); ++i) host.data<float>()[i] = float(i % 65521);
  const Tensor kept = host.clone(), first = host.to(kTestDevice);
  host.fill(-1);
  const Tensor second = host.to(kTestDevice);
  CHECK(first.to_vector<float>() == kept.to_vector<float>());
  CHECK(ops::reduce(ops::Reduce::kMax, second).item() == -1);
  CHECK(Tensor::empty({0, 3}).to(kTestDevice).numel() == 0);
}

TEST_CASE("cuda: every half and bfloat16, and what rounds to them") {
  std::vector<float> values;
  for (uint32_t i = 0; i < 65536; ++i) {
    const float x = f16_to_f32(uint16_t(i));
    if (std::isnan(x)) continue;
    for (const float y : {x, std::nextafter(x, 1e9f), std::nextafter(x, -1e9f), x * 1.00049f}) {
      if (std::isfinite(y)) values.push_back(y);
    }
  }
  const Tensor host = Tensor::from({int64_t(values.size())}, values);
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    CHECK(host.to(kTestDevice).to(dtype).to(kCpu).to(DType::kF32).to_vector<float>() ==
          host.to(dtype).to(DType::kF32).to_vector<float>());
  }
}

TEST_CASE("cuda: the host is refused what it cannot reach") {
  const AsInUse in_use;
  const Tensor x = Tensor::zeros({2, 3}, DType::kF32, kTestDevice);
  CHECK_ERROR(x.data<float>(), "on cuda:0, expected cpu");
  CHECK_ERROR(ops::add(x, Tensor::zeros({2, 3})), "add: got tensors on cpu and cuda:0");
  CHECK_ERROR(Tensor::zeros({2}, DType::kF32, Device{DeviceType::kCuda, 63}), "cuda:63");
  CHECK_ERROR(ops::add(x.to(DType::kF64), x.to(DType::kF64)),
              "add: there is no CUDA kernel for f64");
}

TEST_CASE("cuda: freed blocks are used again, and the peak is known") {
  const AsInUse in_use;
  const auto pool = std::make_shared<cuda::Pool>(0);
  const cuda::ScopedPool scope(pool);
  { const Tensor x = Tensor::empty({1000, 1000}, DType::kF32, kTestDevice); }
  const size_t reserved = pool->stats().reserved;
  CHECK(reserved >= 4'000'000);
  CHECK(reserved < 4'700'000);
  for (int i = 0; i < 10; ++i) {
    const Tensor x = Tensor::empty({1000, 990}, DType::kF32, kTestDevice);
    CHECK(pool->stats().allocated == reserved);
  }
  CHECK(pool->stats().reserved == reserved);
  CHECK(pool->stats().peak == reserved);
  CHECK(pool->stats().allocated == 0);
  pool->release();
  CHECK(pool->stats().reserved == 0);
}

TEST_CASE("cuda: no room is an error with numbers, and the process lives on") {
  const AsInUse in_use;
  const Tensor kept = Tensor::full({1000}, 3, DType::kF32, kTestDevice);
  CHECK_ERROR(Tensor::empty({int64_t{1} << 43}, DType::kF32, kTestDevice),
              "has no room for 35184372088832 bytes");
  CHECK_ERROR(Tensor::empty({int64_t{1} << 43}, DType::kF32, kTestDevice),
              "are held by live tensors");
  CHECK(ops::sum(kept).item() == 3000);
}

TEST_CASE("cuda: memory that the host cannot reach is kept from the tests that need it to") {
  const void* kept = nullptr;
  {
    const AsInUse in_use;
    kept = Tensor::empty({512}, DType::kF32, kTestDevice).address();
    CHECK(Tensor::empty({512}, DType::kF32, kTestDevice).address() == kept);
  }
  const Tensor x = Tensor::zeros({512}, DType::kF32, kTestDevice);
  CHECK(x.address() != kept);
  CHECK(x.data<float>()[511] == 0);
}

TEST_CASE("cuda: tensors that die in another thread") {
  const AsInUse in_use;
  Tensor x = Tensor::full({1000}, 2, DType::kF32, kTestDevice);
  double sum = 0;
  std::thread([&] {
    const Tensor mine = std::move(x);
    sum = ops::sum(mine).item();
  }).join();
  CHECK(sum == 2000);
}

TEST_CASE("replay: runs what was captured on new contents") {
  const AsInUse in_use;
  for (const Device device : {kCpu, kTestDevice}) {
    Tensor x = Tensor::full({50, 20}, 1, DType::kF32, device), y;
    Replay replay(device, [&] {
      const Tensor z = ops::affine(x, 2, 1);
      y = ops::sum(ops::mul(z, z));
    });
    CHECK(y.defined());
    for (const double value : {0.0, 3.0, -1.0}) {
      x.fill(value);
      replay.run();
      CHECK(y.item() == doctest::Approx(1000 * (2 * value + 1) * (2 * value + 1)));
    }
  }
}

TEST_CASE("replay: work that waits for the device is refused and leaves nothing behind") {
  const AsInUse in_use;
  Tensor x = Tensor::full({5}, 1, DType::kF32, kTestDevice);
  CHECK_ERROR(Replay(kTestDevice, [&] { ops::sum(x).item(); }), "captur");
  CHECK(ops::sum(x).item() == 5);
}

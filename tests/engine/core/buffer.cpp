#include "kintsugi/engine/core/buffer.h"

#include <thread>

#include "kintsugi/engine/core/context.h"
#include "tests/support/compare.h"

using namespace kintsugi;

TEST_CASE("buffer: freed blocks are used again, statistics follow the live ones") {
  MemoryStats& stats = *Context::current().memory;
  release_pool();
  CHECK(pooled_bytes() == 0);
  const int64_t before = stats.current;
  void* first = nullptr;
  {
    const Buffer a(100000, kCpu);
    first = a.data();
    CHECK(reinterpret_cast<uintptr_t>(first) % 64 == 0);
    CHECK(stats.current - before == 100000);
    CHECK(stats.peak >= stats.current);
  }
  CHECK(stats.current == before);
  CHECK(pooled_bytes() >= 100000);
  CHECK(pooled_bytes() <= 112500);
  {
    // Of nearly the same size.
    const Buffer b(99000, kCpu);
    CHECK(b.data() == first);
    CHECK(pooled_bytes() == 0);
  }
  release_pool();
  CHECK(pooled_bytes() == 0);
}

TEST_CASE("buffer: networks of many sizes one after the other do not pile up") {
  release_pool();
  // No two in one class of sizes; the greatest is 320 MB, and none is ever touched.
  size_t most = 0;
  for (size_t mb = 40; mb <= 320; mb += mb / 8 + 1) {
    { const Buffer one(mb << 20, kCpu); }
    most = std::max(most, pooled_bytes());
  }
  CHECK(most > size_t{320} << 20);
  CHECK(most <= (2 * size_t{360} + 64) << 20);
  release_pool();
}

TEST_CASE("buffer: a meta one has a size and no bytes") {
  MemoryStats& stats = *Context::current().memory;
  const int64_t before = stats.current;
  const Buffer huge(size_t{1} << 60, kMeta);
  CHECK(huge.data() == nullptr);
  CHECK(huge.bytes() == size_t{1} << 60);
  CHECK(stats.current == before);
}

TEST_CASE("buffer: impossible sizes and devices are errors") {
  CHECK_ERROR(Buffer(size_t{1} << 50, kCpu), "has no room for 1125899906842624 bytes");
  // Which of the three is missing, the backend, a driver or the index, depends on build and machine.
  CHECK_ERROR(Buffer(16, Device{DeviceType::kCuda, 63}), "cuda");
}

TEST_CASE("buffer: a block may die in another thread than its own") {
  MemoryStats& stats = *Context::current().memory;
  const int64_t before = stats.current;
  Tensor x = Tensor::zeros({1000});
  std::thread([moved = std::move(x)]() mutable { moved = Tensor(); }).join();
  CHECK(stats.current == before);
}

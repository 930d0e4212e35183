// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011). Number i of a stream is a pure function of (seed, stream, i), so results do
// not depend on the number of threads, the device, or the order in which elements are drawn.
#pragma once

#include <array>
#include <cstdint>

namespace kintsugi {

class Tensor;

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1) with 24 random bits.
inline float unit_float(uint32_t bits) { return float(bits >> 8) * 0x1p-24f; }

// A stream of random tensors. Each fill takes one stream number, so a generator's whole state is
// (seed, next): saving both resumes it exactly.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0, uint64_t next = 0) : seed_(seed), next_(next) {}
  uint64_t seed() const { return seed_; }
  uint64_t next() const { return next_; }
  void set_next(uint64_t next) { next_ = next; }

  // Fill a dense f32 or f64 tensor, elements in row-major order of its shape. Meta: no effect but
  // the stream still advances.
  void uniform(Tensor& out, double low, double high);
  void normal(Tensor& out, double mean, double stddev);
  // Normal cut off outside [low, high] (absolute values), by the inverse of the distribution.
  void truncated_normal(Tensor& out, double mean, double stddev, double low, double high);
  // 1 with probability p, else 0.
  void bernoulli(Tensor& out, double p);

 private:
  uint64_t seed_;
  uint64_t next_;
};

}  // namespace kintsugi

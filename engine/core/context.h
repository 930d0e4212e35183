// What a thread's calls share: thread count, random generator, recorder, gradient mode, memory
// statistics and counts of reference fallbacks. Each thread starts with a context of its own; two
// threads that run two networks share nothing but caches with their own locks.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "kintsugi/engine/core/device.h"
#include "kintsugi/engine/core/random.h"

namespace kintsugi {

class Draws;
class Recorder;
class Profiler;

struct MemoryStats {
  std::atomic<int64_t> current{0};  // bytes held by live tensors
  std::atomic<int64_t> peak{0};     // the highest `current` since the last reset
  void reset_peak() { peak = current.load(); }
};

// How products on a device are taken; their sums are f32 always. TF32 rounds f32 operands to 10 bits
// of mantissa. BF16 is mixed precision: autograd casts the operands to bf16 (7 bits), activations
// stay so in memory, and parameters, their gradients and statistics stay f32; operands that are f32
// all the same are rounded to TF32. The CPU computes in f32 whatever it says.
enum class Math : uint8_t { kF32, kTF32, kBF16 };

class Context {
 public:
  Context();
  static Context& current();  // this thread's

  int threads() const { return threads_; }
  void set_threads(int threads);  // at least 1; the default is the machine's

  Generator generator;
  std::shared_ptr<MemoryStats> memory = std::make_shared<MemoryStats>();
  Recorder* recorder = nullptr;
  Profiler* profiler = nullptr;
  Draws* draws = nullptr;  // of work that is being prepared for a Replay
  bool grad_enabled = true;
  Math math = Math::kF32;
  Device device;               // where networks' weights and batches of images are put
  bool recomputing = false;    // inside the second forward of a checkpointed block
  std::string module_path;     // of the module whose forward runs: "layer1.0.conv1"
  std::map<std::string, int64_t> fallbacks;  // op -> runs of the reference kernel for want of a fast one
  bool reference_only = false;               // take the reference kernel always (tests)

 private:
  int threads_;
};

// Sets a member of the current context for a scope.
template <class T>
class ScopedSet {
 public:
  ScopedSet(T& target, T value) : target_(target), saved_(target) { target_ = std::move(value); }
  ~ScopedSet() { target_ = std::move(saved_); }
  ScopedSet(const ScopedSet&) = delete;
  ScopedSet& operator=(const ScopedSet&) = delete;

 private:
  T& target_;
  T saved_;
};

}  // namespace kintsugi

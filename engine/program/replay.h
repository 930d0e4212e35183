// Work on a device that is queued once and run many times: a CUDA graph. What the kernels read and
// write stays where it was, so inputs are copied into the tensors that the work was captured with,
// and results are read from the same tensors after each run.
#pragma once

#include <functional>
#include <memory>

#include "kintsugi/engine/core/device.h"

namespace kintsugi {

class Replay {
 public:
  // Calls `work` three times: twice for its effect, with all memory from a pool of the replay's
  // own, so that the third time, when it is recorded and not run, blocks are there even for results
  // that it still holds from before. The context's generator is afterwards what it was. The work may
  // not wait for the device (item(), to_vector()): an Error of kind kDevice then. No other thread may
  // use the device meanwhile: what it queues would be recorded too. On the CPU nothing is recorded,
  // and run() calls it.
  Replay(Device device, std::function<void()> work);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // Random numbers (bernoulli() of draws.h) are the ones that the work would draw now.
  void run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kintsugi

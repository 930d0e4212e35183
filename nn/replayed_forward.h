// A network's forward for batch after batch of one shape: on a device it is captured when a shape comes
// for the second time, and replayed from then on; on the CPU it is the network's own call.
#pragma once

#include <memory>

#include "kintsugi/engine/program/replay.h"
#include "kintsugi/nn/network.h"

namespace kintsugi::nn {

class ReplayedForward {
 public:
  // The network is in evaluation mode and stays the caller's.
  explicit ReplayedForward(Network& network) : network_(network) {}

  // Logits that the next call may overwrite. No tape is kept. Nothing is replayed while somebody looks
  // at every operator, nor what cannot be captured (an Error of kind kDevice or kMemory of the
  // capture: it takes as much memory again).
  Tensor operator()(const Tensor& images);

 private:
  Network& network_;
  Shape last_;
  bool refused_ = false;
  Tensor images_, logits_;
  std::unique_ptr<Replay> replay_;
};

}  // namespace kintsugi::nn

#include "kintsugi/nn/replayed_forward.h"

namespace kintsugi::nn {

Tensor ReplayedForward::operator()(const Tensor& images) {
  const autograd::NoGrad no_grad;
  const Context& context = Context::current();
  const bool watched = context.profiler || context.recorder;
  if (images.device() == kCpu || watched || refused_) return network_(Variable(images)).value();
  const bool known = images_.defined() && images_.shape() == images.shape();
  if (!known && images.shape() == last_) {
    try {
      images_ = images.clone();
      replay_ = std::make_unique<Replay>(
          images.device(), [&] { logits_ = network_(Variable(images_)).value(); });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kDevice && error.kind() != ErrorKind::kMemory) throw;
      refused_ = true;
      images_ = logits_ = {};
    }
  }
  last_ = images.shape();
  if (refused_ || !replay_ || images_.shape() != images.shape()) {
    return network_(Variable(images)).value();
  }
  images_.copy_from(images);
  replay_->run();
  return logits_;
}

}  // namespace kintsugi::nn

#include "kintsugi/autograd/optim/ema.h"

#include <algorithm>

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::autograd {

Ema::Ema(const std::map<std::string, Tensor>& tensors, double decay, bool ramp)
    : decay_(decay), ramp_(ramp) {
  for (const auto& [name, tensor] : tensors) averages_[name] = tensor.clone();
}

void Ema::update(const std::map<std::string, Tensor>& tensors) {
  const double t = double(steps_++);
  const double decay = ramp_ ? std::min(decay_, (1 + t) / (10 + t)) : decay_;
  std::vector<ops::EmaTensors> list;
  for (const auto& [name, average] : averages_) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail(ErrorKind::kUsage, "ema: '", name, "' is missing");
    list.push_back({average, found->second});
  }
  ops::ema_step(list, decay);
}

void Ema::load(const std::map<std::string, Tensor>& averages, int64_t steps) {
  for (auto& [name, average] : averages_) {
    const auto found = averages.find(name);
    if (found == averages.end()) fail(ErrorKind::kFormat, "ema: '", name, "' is missing");
    average.copy_from(found->second);
  }
  steps_ = steps;
}

}  // namespace kintsugi::autograd

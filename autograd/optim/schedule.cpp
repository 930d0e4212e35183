#include "kintsugi/autograd/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kintsugi::autograd {

double cosine_lr(int64_t step, int64_t total, int64_t warmup, double base, double final,
                 double warmup_start) {
  // The step after the last warm-up step is the first at the full rate; no step has rate 0.
  if (step < warmup) {
    return warmup_start + (base - warmup_start) * double(step + 1) / double(warmup + 1);
  }
  const double span = double(std::max<int64_t>(1, total - warmup));
  const double done = std::min(1.0, double(step - warmup) / span);
  return final + (base - final) * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace kintsugi::autograd

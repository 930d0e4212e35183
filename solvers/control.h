// What every long call of this room takes: how long it may run, who may stop it, whom to tell.
#pragma once

#include <functional>
#include <limits>
#include <stop_token>

namespace kintsugi::solvers {

// Called on the calling thread with the fraction done, in [0,1], never falling.
using Progress = std::function<void(double fraction)>;

// A search that runs out of time, or is stopped, answers with the best it has and an honest bound;
// it throws Error(kInterrupted) only if it has nothing yet.
struct Control {
  double seconds = std::numeric_limits<double>::infinity();
  std::stop_token stop = {};
  Progress progress = {};
};

}  // namespace kintsugi::solvers

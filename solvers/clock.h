// A stopwatch that also says whether a Control wants its search to end. Internal to the room.
#pragma once

#include <algorithm>
#include <chrono>

#include "kintsugi/solvers/control.h"

namespace kintsugi::solvers {

class Clock {
 public:
  explicit Clock(const Control& control) : control_(control) {}

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double limit() const { return control_.seconds; }
  // For a call within this one: the time left, the same stop, no progress of its own.
  Control rest() const { return {std::max(0.0, control_.seconds - seconds()), control_.stop, {}}; }
  bool stopped() const { return control_.stop.stop_requested(); }
  bool over() const { return stopped() || seconds() >= control_.seconds; }

  void report(double fraction) {
    if (!control_.progress) return;
    reported_ = std::clamp(fraction, reported_, 1.0);
    control_.progress(reported_);
  }

 private:
  const Control& control_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double reported_ = 0;
};

}  // namespace kintsugi::solvers

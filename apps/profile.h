// Where a run's time went, by operator.
#pragma once

#include <string>

#include "kintsugi/engine/program/recorder.h"

namespace kintsugi::apps {

// A line an operator: its share of `seconds`, milliseconds and calls of one of `runs`, GFLOP/s of
// its products, and whether it ran a reference kernel for want of a fast one (Context::fallbacks).
std::string profile_table(const Profiler& profiler, double seconds, double runs);

}  // namespace kintsugi::apps

// How well do proxies rank? Assemblies of a real zoo are stitched, scored, trained and measured;
// the rank correlation of every score with the accuracy says which one to trust.
#pragma once

#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "kintsugi/apps/training.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::apps {

struct CalibrationOptions {
  std::filesystem::path partition, data, out;
  std::vector<const zoo::Proxy*> proxies;
  int64_t assemblies = 60;
  int64_t images = 64;       // that a proxy sees
  int64_t fit_images = 512;  // that the stitches are fitted on
  int64_t limit = 2000;      // training images; 0: all
  int64_t test_images = 0;   // 0: all
  bool tune = true;          // else the stitched networks alone are measured
  bool fresh = false;        // do not go on from an existing table
  zoo::ReassembleOptions rules;
  TrainSettings training;
  uint64_t seed = 0;
};

struct Calibration {
  struct Assembly {
    std::string blocks;
    double stitched = 0;          // top-1 in percent, stitches fitted
    std::optional<double> tuned;  // stitches and head trained
    double tuning_seconds = 0;
    std::map<std::string, double> scores, seconds;
  };
  struct Row {
    std::string name;
    double tuned = 0, stitched = 0, naswot = 0;  // tau; NaN where it has no value
    double seconds = 0;                          // mean for one assembly
  };
  std::vector<Assembly> assemblies;
  std::vector<Row> rows;  // best first; by what it was tuned for, or by the stitched accuracy
  double chance = 0;      // |tau| of unrelated rankings stays below this in 95 of 100 cases
};

// What every assembly is scored by besides the proxies and its accuracy before training: the plan's
// objective, its costs, and the NASWOT of its blocks' kernels, each taken at home.
inline constexpr const char* kBaselines[] = {"objective", "params", "macs", "block_naswot"};

// Every assembly is written to `out` as it is done; the same call goes on from there, and a table
// of other settings is refused.
Calibration calibrate(const CalibrationOptions& options, std::stop_token stop);

}  // namespace kintsugi::apps

#include "kintsugi/zoo/latency.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/measure.h"
#include "kintsugi/zoo/parts.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;

std::string machine_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

class Measurement {
 public:
  Measurement(const PartitionFile& partition, const LatencyOptions& options,
              const std::function<void(double)>& progress, std::stop_token stop)
      : partition_(partition),
        options_(options),
        progress_(progress),
        stop_(std::move(stop)),
        parts_(
            partition.models,
            {.form = options.form, .fresh_head = options.fresh_head, .classes = options.classes}) {
    for (size_t m = 0; m < parts_.count(); ++m) {
      if (parts_.source(m).network) continue;
      fail(ErrorKind::kUsage, "latency: ", parts_.source(m).model->name,
           " is no network of the catalog and cannot be run");
    }
    for (const auto& set : partition.sets) total_ += double(set.blocks.size());
    collect_joints();
    total_ += double(parts_.count()) + double(joints_.size() + heads_.size());
    total_ += 2 * double(options.assemblies);
  }

  LatencyFile run() {
    for (size_t pass = 0; pass < kPasses; ++pass) {
      next_ = 0;
      file_ = {};
      measure_all();
    }
    correct(file_);
    return file_;
  }

 private:
  static constexpr size_t kPasses = 5, kRuns = 6;

  // In the same order in every pass: each part finds its times of the passes before.
  void measure_all() {
    const autograd::NoGrad no_grad;
    std::ostringstream machine;
    machine << machine_name();
    const Device device = Context::current().device;
    if (device != kCpu) machine << ", " << device;
    file_.machine = machine.str();
    file_.threads = Context::current().threads();
    file_.batch_size = options_.batch_size;
    file_.form = name_of(options_.form);
    for (size_t m = 0; m < parts_.count(); ++m) measure_network(m);
    for (const auto& [in, out] : joints_) {
      nn::Stitch stitch(in, out, options_.form);
      file_.stitches.push_back({in, stitch.out(), time_of(stitch, in)});
    }
    for (const FeatureShape& in : heads_) {
      nn::PoolHead head(in.c, parts_.classes(), nn::PoolHead::Options{});
      const FeatureShape out = FeatureShape::grid(parts_.classes(), 1, 1);
      file_.fresh_heads.push_back({in, out, time_of(head, in)});
    }
    measure_assemblies();
  }

  template <class Shapes, class Shape>
  static void add_once(Shapes& shapes, const Shape& shape) {
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  }

  void collect_joints() {
    for (size_t k = 0; k < partition_.sets.size(); ++k) {
      for (const BlockRange& from : partition_.sets[k].blocks) {
        if (k + 1 == partition_.sets.size()) {
          if (parts_.own_head(from)) continue;
          add_once(heads_, parts_.out(from, false));
          add_once(heads_, parts_.out(from, true));
          continue;
        }
        for (const BlockRange& to : partition_.sets[k + 1].blocks) {
          if (neighbours(from, to)) continue;
          add_once(joints_, std::pair(parts_.out(from, false), parts_.in(to, false)));
        }
      }
    }
  }

  double timed(const std::function<void()>& run) {
    if (stop_.stop_requested()) fail(ErrorKind::kInterrupted, "latency: stopped");
    if (next_ == times_.size()) times_.emplace_back();
    std::vector<double>& times = times_[next_++];
    time_runs(run, kRuns, times);
    if (progress_) progress_(std::min(1.0, ++done_ / (double(kPasses) * total_)));
    return median(times);
  }

  double time_of(nn::Module& module, const FeatureShape& in) {
    Generator generator(0);
    module.initialise(generator);
    module.train(false);
    const nn::Variable x(noise(in, options_.batch_size));
    return timed([&] { (void)module(x); });
  }

  void measure_network(size_t m) {
    const Parts::Source& source = parts_.source(m);
    const std::string& name = source.model->name;
    const Rehearsal run = rehearse(build_network(source.model->architecture, source.build),
                                   options_.batch_size);
    nn::Network& network = *run.network;
    const nn::Variable images(run.images);
    file_.stems.push_back({name, 0, 0, true, timed([&] { (void)(*network.stem())(images); })});
    bool last = false;
    for (const auto& set : partition_.sets) {
      for (const BlockRange& block : set.blocks) {
        if (block.model != name) continue;
        last |= parts_.own_head(block);
        for (const bool home : {false, true}) {
          if (home && !parts_.has_prefix(block)) continue;
          const nn::Variable x(run.input_of(size_t(block.first - 1), home));
          const double ms = timed([&] { (void)network.run(x, block.first - 1, block.last); });
          file_.blocks.push_back({name, block.first, block.last, home, ms});
        }
      }
    }
    const size_t nodes = source.model->nodes.size();
    for (const bool home : {false, true}) {
      if (!last || (home && source.model->out.back().prefix_tokens == 0)) continue;
      const nn::Variable x(run.input_of(nodes, home));
      file_.heads.push_back({name, 0, 0, home, timed([&] { (void)(*network.head())(x); })});
    }
  }

  // Assemblies at random, each once; the first half is fitted, the rest checks the fit.
  void measure_assemblies() {
    Parts table(partition_.models, {.form = options_.form,
                                    .fresh_head = options_.fresh_head,
                                    .classes = options_.classes,
                                    .latency = &file_});
    const size_t latency = table.resource("latency_ms");
    std::set<std::vector<uint64_t>> seen;
    for (uint64_t tries = 0; tries < 100 * uint64_t(options_.assemblies); ++tries) {
      if (int64_t(seen.size()) == 2 * options_.assemblies) break;
      std::vector<BlockRange> blocks;
      std::vector<uint64_t> choice;
      for (size_t k = 0; k < partition_.sets.size(); ++k) {
        std::vector<BlockRange> fitting;
        for (const BlockRange& block : partition_.sets[k].blocks) {
          if (k > 0 || block.first == 1) fitting.push_back(block);
        }
        if (fitting.empty()) return;
        const auto bits = philox4x32({uint32_t(tries), uint32_t(k), 0, 0},
                                     {uint32_t(options_.seed), uint32_t(options_.seed >> 32)});
        choice.push_back(bits[0] % fitting.size());
        blocks.push_back(fitting[choice.back()]);
      }
      if (!seen.insert(choice).second) continue;
      const double predicted = table.costs_of(blocks)[latency];
      const Rehearsal run = rehearse(build_plan(table.plan_of(blocks, 0)), options_.batch_size);
      const nn::Variable images(run.images);
      const double measured = timed([&] { (void)(*run.network)(images); });
      const bool fit = int64_t(seen.size()) <= options_.assemblies;
      (fit ? file_.fitted : file_.checked).push_back({predicted, measured});
    }
  }

  const PartitionFile& partition_;
  const LatencyOptions& options_;
  const std::function<void(double)>& progress_;
  std::stop_token stop_;
  Parts parts_;
  double total_ = 0, done_ = 0;
  size_t next_ = 0;
  std::vector<std::vector<double>> times_;
  std::vector<std::pair<FeatureShape, FeatureShape>> joints_;
  std::vector<FeatureShape> heads_;
  LatencyFile file_;
};

}  // namespace

LatencyFile measure_latency(const PartitionFile& partition, const LatencyOptions& options,
                            const std::function<void(double)>& progress, std::stop_token stop) {
  return Measurement(partition, options, progress, std::move(stop)).run();
}

void correct(LatencyFile& file) {
  // Least squares of (factor * x + constant - y) / y.
  double n = 0, sx = 0, sxx = 0, sy = 0, sxy = 0;
  for (const LatencyFile::Assembly& a : file.fitted) {
    const double w = 1 / (a.measured_ms * a.measured_ms);
    n += w;
    sx += w * a.predicted_ms;
    sxx += w * a.predicted_ms * a.predicted_ms;
    sy += w * a.measured_ms;
    sxy += w * a.predicted_ms * a.measured_ms;
  }
  const double determinant = n * sxx - sx * sx;
  file.factor = sxx > 0 ? sxy / sxx : 1;
  file.constant_ms = 0;
  if (file.fitted.size() > 1 && determinant > 1e-9 * n * sxx) {
    const double factor = (n * sxy - sx * sy) / determinant;
    const double constant = (sy - factor * sx) / n;
    if (factor > 0 && constant > 0) {
      file.factor = factor;
      file.constant_ms = constant;
    }
  }
  std::vector<double> errors;
  for (LatencyFile::Assembly& a : file.fitted) {
    a.predicted_ms = file.constant_ms + file.factor * a.predicted_ms;
  }
  for (LatencyFile::Assembly& a : file.checked) {
    a.predicted_ms = file.constant_ms + file.factor * a.predicted_ms;
    errors.push_back(std::abs(a.predicted_ms - a.measured_ms) / a.measured_ms);
  }
  std::sort(errors.begin(), errors.end());
  file.median_error = errors.empty() ? 0 : errors[errors.size() / 2];
  file.max_error = errors.empty() ? 0 : errors.back();
}

}  // namespace kintsugi::zoo

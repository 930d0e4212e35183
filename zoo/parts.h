// What the parts of a reassembled network cost: stems, blocks, stitches and heads of a zoo, one
// number for each resource. Costs add up over an assembly, but of a peak the greatest counts.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/solvers/reassembly.h"
#include "kintsugi/zoo/card.h"
#include "kintsugi/zoo/files/dissected.h"
#include "kintsugi/zoo/files/latency_file.h"
#include "kintsugi/zoo/files/plan_file.h"

namespace kintsugi::zoo {

struct PartsOptions {
  nn::StitchForm form = nn::StitchForm::kLinear;
  bool fresh_head = false;               // a new linear head instead of the last network's own
  int64_t classes = 0;                   // 0: the zoo's
  bool activation = false;               // measures peaks of memory: every network runs once
  const LatencyFile* latency = nullptr;  // latencies, from this table
};

// Whether the right follows the left in their network, so that they need no stitch.
bool neighbours(const BlockRange& left, const BlockRange& right);

class Parts {
 public:
  struct Source {
    const DissectedModel* model;
    // None of a synthetic zoo, which names no architecture of the catalog; its stems and heads cost
    // nothing.
    std::shared_ptr<nn::Network> network;
    BuildOptions build;  // of it
    Card card;
  };
  using Costs = std::vector<double>;  // one for each resource

  // The models must outlive it.
  Parts(const std::vector<DissectedModel>& models, const PartsOptions& options);

  // "params", "macs", "bytes", then as asked for "activation_bytes" (a peak) and "latency_ms";
  // without budgets.
  const std::vector<solvers::Resource>& resources() const { return resources_; }
  size_t resource(const std::string& name) const;  // kUsage, with the nearest, where there is none

  size_t count() const { return sources_.size(); }
  const Source& source(size_t model) const { return sources_[model]; }
  size_t index_of(const std::string& model) const;  // kUsage, with the nearest, where there is none
  std::vector<solvers::SourceModel> models() const;
  int64_t classes() const { return classes_; }
  nn::StitchForm form() const { return options_.form; }

  // `home`: nothing but the network's own nodes come before, from its stem on, so that its class
  // token is still there; behind a stitch there is none.
  nn::FeatureShape in(const BlockRange& block, bool home) const;
  nn::FeatureShape out(const BlockRange& block, bool home) const;
  // Whether it makes a difference.
  bool has_prefix(const BlockRange& block) const;
  bool own_head(const BlockRange& block) const;

  Costs stem(size_t model);
  Costs block(const BlockRange& block, bool home);
  Costs head(const BlockRange& last, bool home);
  Costs stitch(const nn::FeatureShape& in, const nn::FeatureShape& out);

  // Of the network that these blocks make, in this order, and its plan.
  Costs costs_of(const std::vector<BlockRange>& blocks);
  PlanFile plan_of(const std::vector<BlockRange>& blocks, double objective);

 private:
  struct Cost {
    nn::Cost counted = {};
    double bytes = 0, peak = 0, milliseconds = 0;
  };
  struct Node {
    Cost home, behind;
  };
  Costs listed(const Cost& cost) const;
  Cost counted(nn::Module& module, const nn::FeatureShape& in) const;
  Cost fresh(nn::Module& module, const nn::FeatureShape& in) const;  // with its peak
  void measure(size_t model);
  const Node& node(size_t model, size_t index);

  PartsOptions options_;
  int64_t classes_ = 0;
  std::vector<solvers::Resource> resources_;
  std::vector<Source> sources_;
  std::map<std::string, size_t> index_;
  std::vector<std::vector<Node>> nodes_;  // [model][node]; empty until asked for
  std::vector<Cost> stems_;
  std::vector<Node> heads_;
  using Ends = std::array<int64_t, 10>;
  static Ends ends_of(const nn::FeatureShape& in, const nn::FeatureShape& out);
  std::map<Ends, Cost> stitches_;
};

}  // namespace kintsugi::zoo

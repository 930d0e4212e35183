#include "kintsugi/zoo/parts.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/load.h"
#include "kintsugi/zoo/measure.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;

FeatureShape shown(FeatureShape shape, bool home) {
  if (!home) shape.prefix_tokens = 0;
  return shape;
}

std::string text_of(const FeatureShape& shape) {
  std::ostringstream out;
  out << name_of(shape.kind) << shape.tensor_shape(1) << '+' << shape.prefix_tokens;
  return out.str();
}

std::string text_of(const BlockRange& block) {
  return block.model + ":" + std::to_string(block.first) + "-" + std::to_string(block.last);
}

double state_bytes(const nn::Module& module) {
  double bytes = 0;
  for (const auto& list : {module.named_parameters(), module.named_buffers()}) {
    for (const auto& [name, variable] : list) bytes += double(variable.value().bytes());
  }
  return bytes;
}

template <class Joints>
double joint_ms(const Joints& joints, const FeatureShape& in, const FeatureShape& out) {
  for (const LatencyFile::Joint& joint : joints) {
    if (joint.in == in && joint.out == out) return joint.ms;
  }
  fail(ErrorKind::kUsage, "latency: the table has nothing from ", text_of(in), " to ", text_of(out),
       "; it was measured for another partition");
}

double part_ms(const std::vector<LatencyFile::Part>& parts, const BlockRange& block, bool home) {
  for (const LatencyFile::Part& part : parts) {
    if (BlockRange{part.model, part.first, part.last} == block && part.home == home) return part.ms;
  }
  fail(ErrorKind::kUsage, "latency: the table has nothing of ", text_of(block),
       "; it was measured for another partition");
}

}  // namespace

Parts::Parts(const std::vector<DissectedModel>& models, const PartsOptions& options)
    : options_(options), resources_{{"params"}, {"macs"}, {"bytes"}} {
  if (options.activation) resources_.push_back({.name = "activation_bytes", .peak = true});
  if (options.latency) {
    resources_.push_back({"latency_ms"});
    if (options.latency->form != nn::name_of(options.form)) {
      fail(ErrorKind::kUsage, "latency: the table is of ", options.latency->form,
           " stitches, expected ", nn::name_of(options.form));
    }
  }
  for (const DissectedModel& model : models) {
    Source source{&model, nullptr, {}, {}};
    const bool known = std::any_of(catalog().begin(), catalog().end(), [&](const Variant& v) {
      return v.name == model.architecture;
    });
    // Only a synthetic zoo, which has no weights, may name no architecture of the catalog.
    if (known || !model.weights.empty()) {
      BuildOptions build{.classes = options.classes != 0 ? options.classes : -1};
      source.card = card_of(find_variant(model.architecture));
      if (options.classes == 0 && !model.weights.empty() &&
          std::filesystem::exists(model.weights)) {
        source.card = load_network(model.architecture, model.weights).card;
        build.classes = source.card.classes;
        build.input = source.card.input;
      }
      build.naming = model.naming;
      source.network = build_network(model.architecture, build);
      source.build = build;
      if (source.network->blocks().size() != model.nodes.size()) {
        fail(ErrorKind::kFormat, "partition: ", model.name, " has ", model.nodes.size(),
             " nodes, the catalog's has ", source.network->blocks().size());
      }
    }
    index_[model.name] = sources_.size();
    sources_.push_back(std::move(source));
  }
  if (sources_.empty()) fail(ErrorKind::kUsage, "reassemble: no networks");
  nodes_.resize(sources_.size());
  stems_.resize(sources_.size());
  heads_.resize(sources_.size());
  const Source& first = sources_.front();
  classes_ = options.classes != 0 ? options.classes
             : first.network      ? first.network->classes()
                                  : 1000;
}

size_t Parts::resource(const std::string& name) const {
  std::vector<std::string> names;
  for (const solvers::Resource& r : resources_) {
    if (r.name == name) return names.size();
    names.push_back(r.name);
  }
  std::string list;
  for (const std::string& each : names) list += (list.empty() ? "" : ", ") + each;
  fail(ErrorKind::kUsage, "got the cost '", name, "', expected one of ", list,
       did_you_mean(name, names));
}

size_t Parts::index_of(const std::string& model) const {
  if (const auto found = index_.find(model); found != index_.end()) return found->second;
  std::vector<std::string> names;
  for (const Source& source : sources_) names.push_back(source.model->name);
  fail(ErrorKind::kUsage, "got '", model, "', expected a network of the zoo",
       did_you_mean(model, names));
}

std::vector<solvers::SourceModel> Parts::models() const {
  std::vector<solvers::SourceModel> out;
  std::map<std::string, size_t> checkpoints;
  for (const Source& source : sources_) {
    const DissectedModel& model = *source.model;
    std::string file = model.sha256.empty() ? model.weights.string() : model.sha256;
    if (file.empty()) file = "of " + model.name;
    const size_t checkpoint = checkpoints.emplace(file, checkpoints.size()).first->second;
    out.push_back(
        {model.name, checkpoint, model.licence.empty() ? source.card.licence : model.licence});
  }
  return out;
}

FeatureShape Parts::in(const BlockRange& block, bool home) const {
  return shown(sources_[index_of(block.model)].model->in[size_t(block.first - 1)], home);
}

FeatureShape Parts::out(const BlockRange& block, bool home) const {
  return shown(sources_[index_of(block.model)].model->out[size_t(block.last - 1)], home);
}

bool Parts::has_prefix(const BlockRange& block) const {
  return in(block, true).prefix_tokens > 0;
}

bool Parts::own_head(const BlockRange& block) const {
  const DissectedModel& model = *sources_[index_of(block.model)].model;
  return !options_.fresh_head && block.last == int64_t(model.nodes.size());
}

bool neighbours(const BlockRange& left, const BlockRange& right) {
  return left.model == right.model && left.last + 1 == right.first;
}

Parts::Costs Parts::costs_of(const std::vector<BlockRange>& blocks) {
  Costs sum = stem(index_of(blocks.at(0).model));
  const auto pay = [&](const Costs& costs) {
    for (size_t r = 0; r < costs.size(); ++r) {
      sum[r] = resources_[r].peak ? std::max(sum[r], costs[r]) : sum[r] + costs[r];
    }
  };
  bool home = true;
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (b > 0 && !neighbours(blocks[b - 1], blocks[b])) {
      pay(stitch(out(blocks[b - 1], home), in(blocks[b], false)));
      home = false;
    }
    pay(block(blocks[b], home));
  }
  pay(head(blocks.back(), home));
  return sum;
}

PlanFile Parts::plan_of(const std::vector<BlockRange>& blocks, double objective) {
  const Costs costs = costs_of(blocks);
  PlanFile plan;
  plan.classes = classes_;
  bool home = true;
  for (size_t k = 0; k < blocks.size(); ++k) {
    const BlockRange& range = blocks[k];
    const Source& source = sources_[index_of(range.model)];
    PlanFile::Block block;
    block.model = range.model;
    block.architecture = source.model->architecture;
    block.weights = source.model->weights;
    block.sha256 = source.model->sha256;
    block.naming = source.model->naming;
    block.first = range.first;
    block.last = range.last;
    if (k == 0) {
      plan.stem.part = block;
      plan.input = source.network ? source.network->input() : Shape{1, 1, 1};
      plan.preprocessing = source.card.preprocessing;
      plan.labels = source.card.labels;
    } else if (const FeatureShape before = out(blocks[k - 1], home);
               neighbours(blocks[k - 1], range)) {
      plan.stitches.push_back({"none", name_of(options_.form), before, before});
    } else {
      const nn::Stitch stitch(before, in(range, false), options_.form);
      plan.stitches.push_back(
          {stitch.mode(), name_of(stitch.form()), stitch.in(), stitch.out(), stitch.stride()});
      home = false;
    }
    if (k + 1 == blocks.size() && own_head(range)) plan.head = block;
    plan.blocks.push_back(std::move(block));
  }
  plan.params = int64_t(costs[resource("params")]);
  plan.macs = int64_t(costs[resource("macs")]);
  plan.objective = plan.bound = objective;
  for (size_t r = 0; r < costs.size(); ++r) plan.costs.emplace_back(resources_[r].name, costs[r]);
  return plan;
}

Parts::Costs Parts::listed(const Cost& cost) const {
  Costs out{double(cost.counted.params), double(cost.counted.macs), cost.bytes};
  if (options_.activation) out.push_back(cost.peak);
  if (options_.latency) out.push_back(options_.latency->factor * cost.milliseconds);
  return out;
}

Parts::Cost Parts::counted(nn::Module& module, const FeatureShape& in) const {
  return {.counted = nn::cost_of(module, in.tensor_shape(1)), .bytes = state_bytes(module)};
}

Parts::Cost Parts::fresh(nn::Module& module, const FeatureShape& in) const {
  Cost cost = counted(module, in);
  if (options_.activation) {
    Generator generator(0);
    module.initialise(generator);
    module.train(false);
    cost.peak = double(peak_bytes(module, noise(in, 1)));
  }
  return cost;
}

// All nodes of a network, and what stands at its ends.
void Parts::measure(size_t m) {
  const Source& source = sources_[m];
  const DissectedModel& model = *source.model;
  std::optional<Rehearsal> run;
  if (options_.activation && source.network) {
    run = rehearse(build_network(model.architecture, source.build), 1);
  }
  const auto peak = [&](const std::shared_ptr<nn::Module>& module, const Tensor& input) {
    return double(peak_bytes(*module, input));
  };
  nodes_[m].resize(model.nodes.size());
  for (const bool home : {true, false}) {
    for (size_t i = 0; i < model.nodes.size(); ++i) {
      Cost& cost = home ? nodes_[m][i].home : nodes_[m][i].behind;
      cost.bytes = sizeof(float) * double(model.costs[i].params);
      if (source.network) {
        cost = counted(*source.network->blocks()[i].module, shown(model.in[i], home));
      }
      if (home || model.in[i].prefix_tokens == 0) cost.counted = model.costs[i];
      if (run) cost.peak = peak(run->network->blocks()[i].module, run->input_of(i, home));
    }
    if (!source.network) continue;
    Cost& head = home ? heads_[m].home : heads_[m].behind;
    head = counted(*source.network->head(), shown(model.out.back(), home));
    if (run) head.peak = peak(run->network->head(), run->input_of(model.nodes.size(), home));
  }
  if (!source.network) return;
  const Shape& input = source.network->input();
  stems_[m] = counted(*source.network->stem(), FeatureShape::grid(input[0], input[1], input[2]));
  if (run) stems_[m].peak = double(peak_bytes(*run->network->stem(), run->images, false));
}

const Parts::Node& Parts::node(size_t model, size_t index) {
  if (nodes_[model].empty()) measure(model);
  return nodes_[model][index];
}

Parts::Costs Parts::stem(size_t model) {
  node(model, 0);
  Cost cost = stems_[model];
  if (options_.latency && sources_[model].network) {
    cost.milliseconds = part_ms(options_.latency->stems, {sources_[model].model->name, 0, 0}, true);
  }
  Costs out = listed(cost);
  // Every assembly has one stem: it takes the constant along.
  if (options_.latency) out.back() += options_.latency->constant_ms;
  return out;
}

Parts::Costs Parts::block(const BlockRange& block, bool home) {
  const size_t model = index_of(block.model);
  Cost sum;
  for (int64_t i = block.first; i <= block.last; ++i) {
    const Node& each = node(model, size_t(i - 1));
    const Cost& cost = home ? each.home : each.behind;
    sum.counted.params += cost.counted.params;
    sum.counted.macs += cost.counted.macs;
    sum.bytes += cost.bytes;
    sum.peak = std::max(sum.peak, cost.peak);
  }
  if (options_.latency) {
    sum.milliseconds = part_ms(options_.latency->blocks, block, home && has_prefix(block));
  }
  return listed(sum);
}

Parts::Costs Parts::head(const BlockRange& last, bool home) {
  const size_t model = index_of(last.model);
  if (!sources_[model].network) return {};
  if (own_head(last)) {
    node(model, 0);
    Cost cost = home ? heads_[model].home : heads_[model].behind;
    if (options_.latency) {
      const bool prefix = home && out(last, true).prefix_tokens > 0;
      cost.milliseconds = part_ms(options_.latency->heads, {last.model, 0, 0}, prefix);
    }
    return listed(cost);
  }
  const FeatureShape in = out(last, home);
  nn::PoolHead head(in.c, classes_, nn::PoolHead::Options{});
  Cost cost = fresh(head, in);
  if (options_.latency) {
    const FeatureShape scores = FeatureShape::grid(classes_, 1, 1);
    cost.milliseconds = joint_ms(options_.latency->fresh_heads, in, scores);
  }
  return listed(cost);
}

Parts::Ends Parts::ends_of(const FeatureShape& in, const FeatureShape& out) {
  return {int64_t(in.kind),  in.c,  in.h,  in.w,  in.prefix_tokens,
          int64_t(out.kind), out.c, out.h, out.w, out.prefix_tokens};
}

Parts::Costs Parts::stitch(const FeatureShape& in, const FeatureShape& out) {
  const Ends key = ends_of(in, out);
  auto found = stitches_.find(key);
  if (found == stitches_.end()) {
    nn::Stitch stitch(in, out, options_.form);
    Cost cost = fresh(stitch, in);
    if (options_.latency) {
      cost.milliseconds = joint_ms(options_.latency->stitches, shown(in, false), stitch.out());
    }
    found = stitches_.emplace(key, cost).first;
  }
  return listed(found->second);
}

}  // namespace kintsugi::zoo

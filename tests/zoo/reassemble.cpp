// Reassembly of dissected networks without weights: what plans say they cost against what they are.
#include <map>
#include <random>
#include <set>

#include "kintsugi/solvers/naswot.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/latency.h"
#include "kintsugi/zoo/measure.h"
#include "kintsugi/zoo/partition.h"
#include "kintsugi/zoo/parts.h"
#include "kintsugi/zoo/stitch_graph.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using zoo::ReassembleOptions;

namespace {

// vit_nano has a class token. Similarities by a formula: the nearer in depth, the more alike.
const zoo::SimilarityFile& similarities() {
  static const zoo::SimilarityFile file = [] {
    zoo::SimilarityFile made;
    std::vector<double> depth;
    const char* licences[] = {"MIT", "Apache-2.0", ""};
    for (const char* name : {"resnet_nano", "vit_nano_patch4_28", "mobilenetv3_nano"}) {
      const auto network = zoo::build_network(name);
      zoo::DissectedModel model = zoo::dissect(name, *network);
      model.licence = licences[made.models.size()];
      for (int64_t p = 0; p < model.positions(); ++p) {
        depth.push_back(double(p) / double(model.nodes.size()) + 0.01 * double(made.models.size()));
      }
      made.models.push_back(std::move(model));
    }
    made.similarity = solvers::Matrix(depth.size(), depth.size());
    for (size_t i = 0; i < depth.size(); ++i) {
      for (size_t j = 0; j < depth.size(); ++j) {
        const double apart = depth[i] - depth[j];
        made.similarity(i, j) = std::exp(-8 * apart * apart);
      }
    }
    return made;
  }();
  return file;
}

const zoo::PartitionFile& partition() {
  static const zoo::PartitionFile file =
      zoo::partition_zoo(similarities(), {.k = 3, .epsilon = 0.5, .heuristic = false});
  return file;
}

double cost_of(const zoo::PlanFile& plan, const std::string& name) {
  for (const auto& [each, cost] : plan.costs) {
    if (each == name) return cost;
  }
  FAIL("no cost " << name);
  return 0;
}

bool unbroken(const zoo::PlanFile& plan) {
  return zoo::stitched_blocks(plan).empty();
}

void check_counts(const zoo::PlanFile& plan) {
  const auto network = zoo::build_plan(plan);
  const nn::Cost cost = network->cost();
  CHECK(cost.params == plan.params);
  CHECK(cost.macs == plan.macs);
  if (cost_of(plan, "params") != double(plan.params)) FAIL("params");
}

}  // namespace

TEST_CASE(
    "reassemble: every plan is what it counts, neighbours unstitched, the class token alive") {
  ReassembleOptions options;
  options.max_per_model = 3;
  options.best = 27;
  options.activation = true;
  for (const nn::StitchForm form : {nn::StitchForm::kLinear, nn::StitchForm::kDery}) {
    options.form = form;
    const zoo::Reassembly all = zoo::reassemble(partition(), options);
    REQUIRE(all.plans.size() == 27);
    size_t whole = 0, none = 0;
    for (const zoo::PlanFile& plan : all.plans) {
      check_counts(plan);
      const auto network = zoo::build_plan(plan);
      const zoo::Rehearsal run = zoo::rehearse(network, 1);
      double bytes = 0;
      for (const auto& [name, tensor] : network->state()) bytes += double(tensor.bytes());
      CHECK(cost_of(plan, "bytes") == bytes);
      // A stitch's input lies in memory as its block leaves it, which decides over one copy of it.
      const double peak = double(zoo::peak_bytes(*network, run.images, false));
      CHECK(cost_of(plan, "activation_bytes") == doctest::Approx(peak).epsilon(0.25));
      for (size_t k = 0; k + 1 < plan.blocks.size(); ++k) {
        const auto &left = plan.blocks[k], &right = plan.blocks[k + 1];
        CHECK(plan.stitches[k].none() ==
              (left.model == right.model && left.last + 1 == right.first));
        none += plan.stitches[k].none();
      }
      if (!unbroken(plan)) continue;
      // All of one network: it is that network.
      const auto home = zoo::build_network(plan.blocks[0].model);
      CHECK(plan.params == home->cost().params);
      CHECK(plan.macs == home->cost().macs);
      ++whole;
    }
    CHECK(whole == 3);
    CHECK(none == 3 * 2 + 2 * 3 * 2);
  }
}

TEST_CASE("reassemble: neighbours compute what they compute at home") {
  ReassembleOptions options;
  options.force = {"vit_nano_patch4_28:1-" + std::to_string(partition().cuts[1][0])};
  options.max_per_model = 3;
  options.best = 9;
  for (const zoo::PlanFile& plan : zoo::reassemble(partition(), options).plans) {
    if (!unbroken(plan)) continue;
    const auto network = zoo::build_plan(plan), home = zoo::build_network(plan.blocks[0].model);
    Generator generator(3);
    home->initialise(generator);
    nn::State state;
    for (const auto& [name, tensor] : network->state()) {
      // "blocks.1.blocks.4.mlp.w" of the plan is "blocks.4.mlp.w" at home; so are stem.w and
      // head.w.
      const size_t skip =
          name.rfind("blocks.", 0) == 0 ? name.find('.', 7) + 1 : name.find('.') + 1;
      state[name] = home->state().at(name.substr(skip));
    }
    network->load_state(state);
    network->train(false);
    home->train(false);
    const autograd::NoGrad no_grad;
    const nn::Variable x(test::random_tensor({2, 1, 28, 28}, 5, -1, 1, DType::kF32));
    CHECK((*network)(x).value().to_vector<float>() == (*home)(x).value().to_vector<float>());
    return;
  }
  FAIL("no plan of one network");
}

TEST_CASE("reassemble: every budget and rule holds") {
  ReassembleOptions free;
  free.best = 27;
  free.activation = true;
  const std::vector<zoo::PlanFile> all = zoo::reassemble(partition(), free).plans;
  REQUIRE(all.size() > 10);
  const auto middle = [&](const char* name) {
    std::vector<double> values;
    for (const zoo::PlanFile& plan : all) values.push_back(cost_of(plan, name));
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  const auto check = [&](const ReassembleOptions& options, const auto& allowed) {
    ReassembleOptions asked = options;
    asked.best = 27;
    asked.activation = true;
    const std::vector<zoo::PlanFile> got = zoo::reassemble(partition(), asked).plans;
    size_t expected = 0;
    for (const zoo::PlanFile& plan : all) expected += allowed(plan);
    CHECK(expected > 0);
    CHECK(expected < all.size());
    CHECK(got.size() == expected);
    for (const zoo::PlanFile& plan : got) CHECK(allowed(plan));
  };
  const auto at_most = [&](const char* name, int64_t ReassembleOptions::*budget) {
    ReassembleOptions options;
    options.*budget = int64_t(middle(name));
    check(options, [&](const zoo::PlanFile& p) { return cost_of(p, name) <= middle(name); });
  };
  at_most("params", &ReassembleOptions::max_params);
  at_most("macs", &ReassembleOptions::max_macs);
  at_most("bytes", &ReassembleOptions::max_bytes);
  at_most("activation_bytes", &ReassembleOptions::max_activation_bytes);
  const auto models = [](const zoo::PlanFile& plan) {
    std::set<std::string> names;
    for (const auto& block : plan.blocks) names.insert(block.model);
    return names;
  };
  ReassembleOptions options;
  options.max_sources = 2;
  check(options, [&](const auto& p) { return models(p).size() <= 2; });
  options = {};
  options.licences = {"MIT", "Apache-2.0"};
  check(options, [&](const auto& p) { return models(p).count("mobilenetv3_nano") == 0; });
  options = {};
  options.forbid = {"vit_nano_patch4_28"};
  check(options, [&](const auto& p) { return models(p).count("vit_nano_patch4_28") == 0; });
  const zoo::BlockRange block = partition().sets[1].blocks[0];
  const std::string name =
      block.model + ":" + std::to_string(block.first) + "-" + std::to_string(block.last);
  const auto holds = [&](const zoo::PlanFile& p) {
    return zoo::BlockRange{p.blocks[1].model, p.blocks[1].first, p.blocks[1].last} == block;
  };
  options = {};
  options.force = {name};
  check(options, holds);
  options = {};
  options.forbid = {name};
  check(options, [&](const auto& p) { return !holds(p); });

  options = {};
  options.force = {"resnet_nani:1-2"};
  CHECK_ERROR(zoo::reassemble(partition(), options), "--force: got 'resnet_nani:1-2'");
  options = {};
  options.forbid = {"resnet_nani"};
  CHECK_ERROR(zoo::reassemble(partition(), options), "did you mean 'resnet_nano'");
  options = {};
  options.licences = {"MTI"};
  CHECK_ERROR(zoo::reassemble(partition(), options), "did you mean 'MIT'");
  options = {};
  options.max_latency_ms = 3;
  CHECK_ERROR(zoo::reassemble(partition(), options), "needs a table");
}

TEST_CASE("reassemble: the front of the plans, over two costs and three") {
  ReassembleOptions options;
  options.best = 27;
  const std::vector<zoo::PlanFile> all = zoo::reassemble(partition(), options).plans;
  for (const std::vector<std::string>& costs :
       {std::vector<std::string>{"params", "macs"}, {"macs", "bytes", "params"}}) {
    const zoo::ReassemblyFront front = zoo::reassemble_front(partition(), {}, costs);
    CHECK(front.result.complete);
    const auto beats = [&](const zoo::PlanFile& a, const zoo::PlanFile& b) {
      bool better = a.objective > b.objective, worse = a.objective < b.objective;
      for (const std::string& name : costs) {
        better |= cost_of(a, name) < cost_of(b, name);
        worse |= cost_of(a, name) > cost_of(b, name);
      }
      return better && !worse;
    };
    size_t unbeaten = 0;
    for (const zoo::PlanFile& plan : all) {
      unbeaten +=
          std::none_of(all.begin(), all.end(), [&](const auto& o) { return beats(o, plan); });
    }
    CHECK(front.plans.size() == unbeaten);
    for (const zoo::PlanFile& plan : front.plans) {
      check_counts(plan);
      CHECK(std::none_of(all.begin(), all.end(), [&](const auto& o) { return beats(o, plan); }));
    }
  }
  CHECK_ERROR(zoo::reassemble_front(partition(), {}, {"param"}), "did you mean 'params'");
}

TEST_CASE("reassemble: the greatest NASWOT of given kernels") {
  // One direction an input each block tells apart: the sum is regular only where blocks differ.
  std::vector<std::vector<solvers::Matrix>> kernels;
  std::mt19937_64 random(3);
  for (const auto& set : partition().sets) {
    kernels.emplace_back();
    for (size_t b = 0; b < set.blocks.size(); ++b) {
      solvers::Matrix kernel(4, 4);
      for (int r = 0; r < 6; ++r) {
        double code[4];
        for (double& c : code) c = double(random() % 2);
        for (size_t i = 0; i < 4; ++i) {
          for (size_t j = 0; j < 4; ++j) kernel(i, j) += code[i] == code[j];
        }
      }
      kernels.back().push_back(kernel);
    }
  }
  const zoo::Reassembly best = zoo::reassemble_naswot(partition(), {}, kernels);
  REQUIRE(best.plans.size() == 1);
  CHECK(best.result.gap == doctest::Approx(0));
  check_counts(best.plans[0]);
  ReassembleOptions every;
  every.best = 27;
  double greatest = -1e9;
  for (const zoo::PlanFile& plan : zoo::reassemble(partition(), every).plans) {
    solvers::Matrix sum(4, 4);
    for (size_t k = 0; k < 3; ++k) {
      for (size_t b = 0; b < 3; ++b) {
        if (partition().sets[k].blocks[b].model != plan.blocks[k].model) continue;
        for (size_t i = 0; i < 16; ++i) sum.values[i] += kernels[k][b].values[i];
      }
    }
    greatest = std::max(greatest, solvers::log_det(sum) / 4);
  }
  CHECK(best.plans[0].objective == doctest::Approx(greatest).epsilon(1e-8));
}

TEST_CASE("latency: a table by hand is added up, corrected and obeyed") {
  zoo::LatencyFile table;
  table.form = "linear";
  table.factor = 1.5;
  table.constant_ms = 0.25;
  std::map<std::string, double> of_block;
  double next = 1;
  const auto& sets = partition().sets;
  for (const auto& model : partition().models) {
    table.stems.push_back({model.name, 0, 0, true, 0.125});
    table.heads.push_back({model.name, 0, 0, false, 0.0625});
    if (model.out.back().prefix_tokens) table.heads.push_back({model.name, 0, 0, true, 0.0625});
  }
  for (size_t k = 0; k < sets.size(); ++k) {
    for (const zoo::BlockRange& b : sets[k].blocks) {
      of_block[b.model + std::to_string(b.first)] = next;
      for (const bool home : {false, true}) {
        table.blocks.push_back({b.model, b.first, b.last, home, next});
      }
      next += 0.5;
      if (k + 1 == sets.size()) continue;
      for (const zoo::BlockRange& right : sets[k + 1].blocks) {
        zoo::Parts parts(partition().models, {});
        table.stitches.push_back({parts.out(b, false), parts.in(right, false), 0.03125});
      }
    }
  }
  ReassembleOptions options;
  options.latency = table;
  options.best = 27;
  const auto expected = [&](const zoo::PlanFile& plan) {
    double sum = 0.125 + 0.0625 + 0.03125 * double(zoo::stitched_blocks(plan).size());
    for (const auto& b : plan.blocks) sum += of_block.at(b.model + std::to_string(b.first));
    return 0.25 + 1.5 * sum;
  };
  const auto all = zoo::reassemble(partition(), options).plans;
  std::vector<double> values;
  for (const zoo::PlanFile& plan : all) {
    CHECK(cost_of(plan, "latency_ms") == doctest::Approx(expected(plan)).epsilon(1e-12));
    values.push_back(expected(plan));
  }
  std::sort(values.begin(), values.end());
  options.max_latency_ms = values[5];
  const auto fast = zoo::reassemble(partition(), options).plans;
  CHECK(fast.size() >= 6);
  CHECK(fast.size() < all.size());
  for (const zoo::PlanFile& plan : fast) CHECK(expected(plan) <= values[5]);
  options.max_latency_ms = values[0] * 0.99;
  const zoo::Reassembly none = zoo::reassemble(partition(), options);
  REQUIRE(!none.result.remedies.empty());
  CHECK(none.result.remedies[0].limit == "latency_ms");
  CHECK(none.result.remedies[0].needed == doctest::Approx(values[0]).epsilon(1e-12));

  options.latency->form = "dery";
  CHECK_ERROR(zoo::reassemble(partition(), options), "expected linear");
  options.latency = table;
  options.latency->blocks.clear();
  CHECK_ERROR(zoo::reassemble(partition(), options), "measured for another partition");
}

TEST_CASE("latency: the correction is the best one, its error that of other assemblies") {
  zoo::LatencyFile file;
  for (const double x : {1.0, 2.0, 3.0, 5.0}) file.fitted.push_back({x, 0.5 + 1.25 * x});
  for (const double x : {4.0, 10.0, 2.5}) file.checked.push_back({x, 2 * (0.5 + 1.25 * x)});
  zoo::correct(file);
  CHECK(file.factor == doctest::Approx(1.25));
  CHECK(file.constant_ms == doctest::Approx(0.5));
  CHECK(file.median_error == doctest::Approx(0.5));
  CHECK(file.checked[1].predicted_ms == doctest::Approx(13));
  // A negative constant is none: then the factor alone is fitted.
  zoo::LatencyFile steep;
  for (const double x : {1.0, 2.0}) steep.fitted.push_back({x, 3 * x - 1});
  zoo::correct(steep);
  CHECK(steep.constant_ms == 0);
  CHECK(steep.factor == doctest::Approx((0.5 + 0.4) / (0.25 + 0.16)));
}

TEST_CASE("latency: measured, every part has a time and reassemble finds them all") {
  const zoo::LatencyFile file = zoo::measure_latency(partition(), {.assemblies = 1});
  for (const auto* parts : {&file.stems, &file.blocks, &file.heads}) {
    for (const auto& part : *parts) CHECK(part.ms > 0);
  }
  CHECK(file.blocks.size() == 9 + 3);  // the blocks of vit_nano with the class token too
  CHECK(file.fitted.size() == 1);
  CHECK(file.checked.size() == 1);
  ReassembleOptions options;
  options.latency = file;
  options.max_per_model = 3;
  options.best = 27;
  CHECK(zoo::reassemble(partition(), options).plans.size() == 27);
  std::stop_source source;
  source.request_stop();
  CHECK_ERROR(zoo::measure_latency(partition(), {}, {}, source.get_token()), "stopped");
}

TEST_CASE("stitch graph: plans are what they count and worth what the formula says") {
  zoo::StitchGraphOptions options;
  options.quality = {{"resnet_nano", 0.9}, {"vit_nano_patch4_28", 0.8}, {"mobilenetv3_nano", 0.7}};
  options.depth_slack = 0.2;
  options.max_stitches = 2;
  const auto& models = similarities().models;
  std::map<std::string, size_t> index, base;
  size_t positions = 0;
  for (size_t m = 0; m < models.size(); ++m) {
    index[models[m].name] = m;
    base[models[m].name] = positions;
    positions += size_t(models[m].positions());
  }
  const auto worth = [&](const zoo::PlanFile& plan) {
    double sum = 0;
    for (size_t b = 0; b < plan.blocks.size(); ++b) {
      const auto& block = plan.blocks[b];
      const double q = options.quality.at(block.model);
      const double length = double(models[index.at(block.model)].nodes.size());
      sum += q * double(block.last - block.first + 1) / length;
      if (b == 0) continue;
      const auto& left = plan.blocks[b - 1];
      const double d = double(left.last) / double(models[index.at(left.model)].nodes.size());
      const double e = double(block.first - 1) / length;
      CHECK(std::abs(d - e) <= options.depth_slack + 1e-9);
      sum += similarities().similarity(base.at(left.model) + size_t(left.last),
                                       base.at(block.model) + size_t(block.first - 1)) -
             1 + (e - d) * (q + options.quality.at(left.model)) / 2;
    }
    return sum;
  };
  size_t entered = 0, stitched = 0;
  for (const int64_t least : {0, 1, 2}) {
    options.min_stitches = least;
    const zoo::StitchGraph graph = zoo::stitch_graph(similarities(), options);
    CHECK(graph.result.complete);
    REQUIRE(!graph.plans.empty());
    for (const zoo::PlanFile& plan : graph.plans) {
      check_counts(plan);
      CHECK(int64_t(plan.blocks.size()) > least);
      CHECK(plan.objective == doctest::Approx(worth(plan)).epsilon(1e-9));
      stitched += plan.blocks.size() > 1;
      for (size_t b = 1; b < plan.blocks.size(); ++b) {
        entered += plan.blocks[b].model == "vit_nano_patch4_28";
      }
    }
    if (least == 0) CHECK(graph.plans[0].objective == doctest::Approx(0.9));
  }
  CHECK(entered > 0);
  CHECK(stitched > 5);
  options.min_stitches = 0;
  options.budgets["params"] = 10;
  const zoo::StitchGraph none = zoo::stitch_graph(similarities(), options);
  REQUIRE(none.result.remedies.size() == 1);
  options.budgets["params"] = none.result.remedies[0].needed;
  CHECK(!zoo::stitch_graph(similarities(), options).plans.empty());
  options.budgets["params"] -= 1;
  CHECK(zoo::stitch_graph(similarities(), options).plans.empty());
  options.budgets.clear();
  options.forbid = {"vit_nano_patch4_28", "resnet_nano"};
  CHECK_ERROR(zoo::stitch_graph(similarities(), options), "no two networks can be stitched");
  options.max_stitches = 0;
  const zoo::StitchGraph alone = zoo::stitch_graph(similarities(), options);
  REQUIRE(alone.plans.size() == 1);
  CHECK(alone.plans[0].blocks[0].model == "mobilenetv3_nano");
  CHECK(unbroken(alone.plans[0]));
}

#include "kintsugi/apps/demo.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/apps/report/report.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/apps/training.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/partition.h"
#include "kintsugi/zoo/similarity.h"
#include "kintsugi/zoo/weights/atomic_file.h"

namespace kintsugi::apps {

namespace {

constexpr int64_t kEvalBatch = 250;
// As docs/calibration.md has it.
constexpr int64_t kProxyImages = 64, kProxyFitImages = 512;

TrainSettings tuning(const DemoOptions& options, double lr) {
  TrainSettings settings;
  settings.epochs = options.epochs;
  settings.batch_size = 64;
  settings.lr = lr;
  settings.warmup_epochs = 0.25;
  settings.seed = options.seed;
  return settings;
}

// From trained weights, small steps; for what is new, large ones.
constexpr double kTuneRate = 1e-3, kFreshRate = 4e-3;

class Demo {
 public:
  Demo(const DemoOptions& options, std::stop_token stop) : options_(options), stop_(stop) {}

  Findings run() {
    open();
    measure_zoo();
    compare();
    cut();
    if (!choose()) return std::move(f_);
    train_reassembled();
    train_baselines();
    f_.seconds = whole_.seconds();
    zoo::write_file_atomically(options_.out / "report.html", report_html(f_));
    return std::move(f_);
  }

 private:
  static constexpr int kSteps = 10;

  std::string step(const std::string& what) {
    const std::string title = "[" + std::to_string(++step_) + "/" + std::to_string(kSteps) + "] ";
    whole_.line(title + what);
    return title + what;
  }

  void open() {
    const zoo::ZooFile file = zoo::read_zoo(options_.zoo);
    members_ = zoo::load_zoo(file);
    const std::shared_ptr<const zoo::Dataset> train =
        zoo::open_dataset(options_.data, zoo::Split::kTrain);
    test_ = zoo::open_dataset(options_.data, zoo::Split::kTest);
    train_ = first_of(train, options_.limit, options_.seed);
    f_.data = train->kind() + " images of " + options_.data.filename().string();
    f_.epochs = options_.epochs;
    f_.train_images = train_->size();
    f_.test_images = test_->size();
    std::filesystem::create_directories(options_.out);
  }

  double top1_of(nn::Network& network, const zoo::Card& card, const std::string& label) {
    Progress progress(label);
    const double images = double(test_->size());
    return evaluate(
               network, card, test_, kEvalBatch,
               [&](int64_t done) { progress.update(double(done) / images); }, stop_)
        .top1;
  }

  void measure_zoo() {
    const std::string label = step("the zoo's accuracy");
    for (zoo::ZooMember& member : members_) {
      const nn::Cost cost = member.loaded.network->cost();
      f_.zoo.push_back({member.name, zoo::find_variant(member.loaded.card.architecture).family, cost.params, cost.macs,
                        top1_of(*member.loaded.network, member.loaded.card, label),
                        member.weights.string()});
      const Findings::Member& m = f_.zoo.back();
      whole_.line("  " + m.name + ": " + count(m.params) + " parameters, " + count(m.macs) +
                  " MACs, top-1 " + fixed(m.top1, 2) + " %");
    }
  }

  void compare() {
    Progress progress(step("similarity of all positions"));
    zoo::SimilarityOptions options;
    options.images = options_.similarity_images;
    options.seed = options_.seed;
    f_.similarity = zoo::similarity_of(
        members_, train_, options, [&](double done) { progress.update(done); }, stop_);
    f_.similarity_seconds = progress.seconds();
    zoo::write_similarity(options_.out / "similarity.json", f_.similarity);
  }

  void cut() {
    step("partition into " + std::to_string(options_.k) + " sets");
    zoo::PartitionOptions options;
    options.k = options_.k;
    options.epsilon = options_.epsilon;
    options.seed = options_.seed;
    f_.partition = zoo::partition_zoo(f_.similarity, options, {.stop = stop_});
    zoo::write_partition(options_.out / "partition.json", f_.partition);
    whole_.line("  objective " + fixed(f_.partition.objective, 4) + ", bound " +
                fixed(f_.partition.bound, 4) + ", gap " + fixed(100 * f_.partition.gap, 3) + " %");
  }

  int64_t median(int64_t Findings::Member::*cost) const {
    std::vector<int64_t> values;
    for (const Findings::Member& member : f_.zoo) values.push_back(member.*cost);
    std::nth_element(values.begin(), values.begin() + long(values.size() / 2), values.end());
    return values[values.size() / 2];
  }

  bool choose() {
    step("the best blocks within the budget");
    zoo::ReassembleOptions options;
    f_.max_params = options_.max_params.value_or(median(&Findings::Member::params));
    f_.max_macs = options_.max_macs.value_or(median(&Findings::Member::macs));
    options.best = options_.candidates;
    zoo::Reassembly result;
    while (true) {
      options.max_params = f_.max_params;
      options.max_macs = f_.max_macs;
      result = zoo::reassemble(f_.partition, options, {.stop = stop_});
      const bool own_budget = !options_.max_params && !options_.max_macs;
      if (!result.plans.empty() || !own_budget) break;
      // Nobody asked for this budget, so one that has an answer is looked for.
      f_.max_params += f_.max_params / 10 + 1;
      f_.max_macs += f_.max_macs / 10 + 1;
    }
    f_.status = to_string(result.result.status);
    f_.reason = result.result.reason;
    f_.reassembly_seconds = result.result.seconds;
    if (result.plans.empty()) return false;
    rank(result.plans);
    zoo::write_plan(options_.out / "plan.json", f_.plan);
    whole_.line("  " + blocks_text(f_.plan) + ": " + count(f_.plan.params) +
                " parameters of at most " + count(f_.max_params) + ", " + count(f_.plan.macs) +
                " MACs of at most " + count(f_.max_macs));
    return true;
  }

  void rank(const std::vector<zoo::PlanFile>& plans) {
    const zoo::Proxy& proxy = zoo::find_proxy(options_.proxy);
    f_.proxy = proxy.name;
    Progress progress(step(f_.proxy + " of the best plans"));
    const auto sample = zoo::stratified_sample(*train_, kProxyImages, options_.seed);
    size_t chosen = 0;
    for (size_t i = 0; i < plans.size(); ++i) {
      if (stop_.stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
      const zoo::PlanFile& plan = plans[i];
      const zoo::LoadedNetwork loaded = zoo::load_plan(plan, options_.seed);
      zoo::fit_stitches(*loaded.network, plan, train_, kProxyFitImages, options_.seed, {}, stop_);
      const double score = zoo::score(
          proxy, *loaded.network, zoo::proxy_batch(train_, sample, plan.input, plan.preprocessing),
          &plan);
      f_.candidates.push_back({blocks_text(plan), plan.objective, score, plan.params, plan.macs});
      if (options_.pick_by_proxy && score > f_.candidates[chosen].score) chosen = i;
      progress.update(double(i + 1) / double(plans.size()));
    }
    f_.candidates[chosen].chosen = true;
    f_.plan = plans[chosen];
    // Against the optimum's bound, whichever plan was taken.
    f_.plan.bound = plans[0].bound;
    f_.plan.gap =
        (f_.plan.bound - f_.plan.objective) / std::max(1e-12, std::abs(f_.plan.objective));
  }

  void train(nn::Network& network, const zoo::Card& card, double lr, const std::string& label) {
    Progress progress(label);
    train_network(network, card, train_, tuning(options_, lr), {}, progress, stop_);
  }

  double finish(const zoo::LoadedNetwork& loaded, const std::string& name, const std::string& label,
                bool has_plan) {
    const double top1 = top1_of(*loaded.network, loaded.card, label);
    whole_.line("  top-1 " + fixed(top1, 2) + " %");
    zoo::Card card = loaded.card;
    card.facts = {{"command", "kintsugi demo, " + name},
                  {"epochs", std::to_string(options_.epochs)},
                  {"images", std::to_string(f_.train_images)},
                  {"test_images", std::to_string(f_.test_images)},
                  {"seed", std::to_string(options_.seed)},
                  {"top1", fixed(top1, 2)}};
    const std::filesystem::path weights = options_.out / (name + ".safetensors");
    zoo::save_network(weights, *loaded.network, card);
    if (has_plan) {
      zoo::PlanFile plan = f_.plan;
      plan.weights = weights;
      zoo::write_plan(options_.out / (name + ".plan.json"), plan);
    }
    return top1;
  }

  void train_reassembled() {
    const zoo::LoadedNetwork loaded = zoo::load_plan(f_.plan, options_.seed);
    nn::Network& network = *loaded.network;
    std::string label = step("stitches fitted by least squares");
    {
      Progress progress(label);
      for (const zoo::FitResult& fit : zoo::fit_stitches(
               network, f_.plan, train_, options_.fit_images, options_.seed,
               [&](double done) { progress.update(done); }, stop_)) {
        f_.stitch_r2.push_back(fit.r2);
      }
    }
    f_.stitched = finish(loaded, "stitched", label, true);
    const nn::State stitched = network.state();

    label = step("training stitches and head");
    zoo::freeze_sources(network);
    train(network, loaded.card, kTuneRate, label);
    f_.freeze = finish(loaded, "freeze", label, true);

    label = step("training everything, from the fitted stitches");
    network.load_state(stitched);
    network.freeze(false);
    train(network, loaded.card, kTuneRate, label);
    f_.full = finish(loaded, "full", label, true);
  }

  void train_baselines() {
    std::string label = step("baseline: the same architecture from random weights");
    zoo::LoadedNetwork scratch{zoo::build_plan(f_.plan), zoo::load_plan(f_.plan).card};
    Generator generator(options_.seed);
    scratch.network->initialise(generator);
    train(*scratch.network, scratch.card, kFreshRate, label);
    f_.scratch = finish(scratch, "scratch", label, true);

    label = step("baseline: the best zoo member within the budget, fine-tuned");
    size_t best = f_.zoo.size();
    for (size_t i = 0; i < f_.zoo.size(); ++i) {
      if (f_.zoo[i].params > f_.max_params || f_.zoo[i].macs > f_.max_macs) continue;
      if (best == f_.zoo.size() || f_.zoo[i].top1 > f_.zoo[best].top1) best = i;
    }
    if (best == f_.zoo.size()) {
      whole_.line("  none fits");
      return;
    }
    const zoo::LoadedNetwork& member = members_[best].loaded;
    whole_.line("  " + f_.zoo[best].name);
    member.network->freeze(false);
    train(*member.network, member.card, kTuneRate, label);
    f_.best_member = {f_.zoo[best].name, f_.zoo[best].top1,
                      finish(member, "best_zoo_member", label, false)};
  }

  const DemoOptions& options_;
  std::stop_token stop_;
  Findings f_;
  Progress whole_{"demo"};
  int step_ = 0;
  std::vector<zoo::ZooMember> members_;
  std::shared_ptr<const zoo::Dataset> train_, test_;
};

}  // namespace

Findings run_demo(const DemoOptions& options, std::stop_token stop) {
  return Demo(options, stop).run();
}

}  // namespace kintsugi::apps

#include "kintsugi/apps/calibration.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "kintsugi/apps/json.h"
#include "kintsugi/apps/report/findings.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/solvers/kendall.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/hub.h"
#include "kintsugi/zoo/proxies/naswot.h"
#include "kintsugi/zoo/sample.h"
#include "kintsugi/zoo/weights/atomic_file.h"
#include "kintsugi/zoo/weights/sha256.h"

namespace kintsugi::apps {

namespace {

constexpr const char* kFormat = "kintsugi-calibration/1";
constexpr const char* kStitched = "stitched_top1";
constexpr double kWorst = -std::numeric_limits<double>::infinity();

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// JSON has no infinity: null.
Json to_json(const std::map<std::string, double>& values) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = std::isfinite(value) ? Json(value) : Json();
  return json;
}

std::map<std::string, double> numbers_from(const Json& json) {
  std::map<std::string, double> values;
  for (const auto& [name, value] : json.items()) {
    values[name] = value.is_null() ? kWorst : value.get<double>();
  }
  return values;
}

class Calibrator {
 public:
  Calibrator(const CalibrationOptions& options, std::stop_token stop)
      : options_(options), stop_(stop) {}

  Calibration run() {
    const zoo::PartitionFile partition = zoo::read_partition(options_.partition);
    const std::shared_ptr<const zoo::Dataset> all =
        zoo::open_dataset(options_.data, zoo::Split::kTrain);
    train_ = first_of(all, options_.limit, options_.seed);
    test_ = first_of(zoo::open_dataset(options_.data, zoo::Split::kTest), options_.test_images,
                     options_.seed);
    settings_ = settings();
    go_on();
    Progress progress("calibrate");
    progress.line("choosing " + std::to_string(options_.assemblies) + " assemblies");
    const std::vector<zoo::SampledPlan> plans = zoo::sample_plans(
        partition, size_t(options_.assemblies), options_.rules, options_.seed, {.stop = stop_});
    const auto kernels = zoo::block_kernels(
        partition, train_,
        {.images = options_.images, .fresh_head = options_.rules.fresh_head, .seed = options_.seed},
        {}, stop_);
    sample_ = zoo::stratified_sample(*train_, options_.images, options_.seed);
    done_.resize(plans.size());
    for (size_t i = 0; i < plans.size(); ++i) {
      const auto found = known_.find(blocks_text(plans[i].plan));
      if (found != known_.end()) done_[i] = found->second;
    }
    for (size_t i = 0; i < plans.size(); ++i) {
      if (done_[i] &&
          std::all_of(options_.proxies.begin(), options_.proxies.end(),
                      [&](const auto* p) { return done_[i]->scores.contains(p->name); })) {
        continue;
      }
      solvers::Matrix sum(sample_.size(), sample_.size());
      for (size_t k = 0; k < kernels.size(); ++k) {
        const solvers::Matrix& kernel = kernels[k][plans[i].chosen[k]];
        for (size_t e = 0; e < sum.values.size(); ++e) sum.values[e] += kernel.values[e];
      }
      const auto start = std::chrono::steady_clock::now();
      const double block_naswot = solvers::log_det(sum) / double(sample_.size());
      done_[i] = measure(plans[i].plan, block_naswot, done_[i]);
      write();
      progress.line(std::to_string(i + 1) + "/" + std::to_string(plans.size()) + " " +
                    done_[i]->blocks + ": stitched " + fixed(done_[i]->stitched, 2) + " %" +
                    (done_[i]->tuned ? ", tuned " + fixed(*done_[i]->tuned, 2) + " %" : "") + ", " +
                    duration(seconds_since(start)));
    }
    for (auto& assembly : done_) result_.assemblies.push_back(*assembly);
    rank();
    write();
    return std::move(result_);
  }

 private:
  Json settings() const {
    std::ostringstream rules;
    rules << "params " << options_.rules.max_params << " macs " << options_.rules.max_macs
          << " per model " << options_.rules.max_per_model << " form "
          << nn::name_of(options_.rules.form) << (options_.rules.fresh_head ? " fresh head" : "")
          << (options_.rules.grids_before_tokens ? " grids before tokens" : "");
    return {{"partition", zoo::sha256_of_file(options_.partition)},
            {"data", train_->kind()},
            {"train_images", train_->size()},
            {"test_images", test_->size()},
            {"proxy_images", options_.images},
            {"fit_images", options_.fit_images},
            {"assemblies", options_.assemblies},
            {"rules", rules.str()},
            {"training", options_.tune ? options_.training.fingerprint() : "none"},
            {"seed", options_.seed}};
  }

  void go_on() {
    if (options_.fresh || !std::filesystem::exists(options_.out)) return;
    const std::string file = options_.out.string();
    Json json;
    try {
      std::ifstream in(options_.out);
      json = Json::parse(in);
      if (json.at("format") != kFormat) fail(ErrorKind::kFormat, "not a ", kFormat);
      const Json& then = json.at("settings");
      std::vector<std::string> differing;
      for (const auto& [name, value] : settings_.items()) {
        if (then.value(name, Json()) != value) {
          differing.push_back(name + ": got " + value.dump() + ", the table has " +
                              then.value(name, Json()).dump());
        }
      }
      if (!differing.empty()) {
        throw Error(ErrorKind::kUsage,
                    file + ": a table of " + std::to_string(differing.size()) + " other setting" +
                        (differing.size() == 1 ? "" : "s") +
                        "; take them again, or --fresh to start anew",
                    differing);
      }
      for (const Json& entry : json.at("assemblies")) {
        Calibration::Assembly a;
        a.blocks = entry.at("blocks").get<std::string>();
        a.stitched = entry.at("stitched").get<double>();
        if (!entry.at("tuned").is_null()) a.tuned = entry.at("tuned").get<double>();
        a.tuning_seconds = entry.at("tuning_seconds").get<double>();
        a.scores = numbers_from(entry.at("scores"));
        a.seconds = numbers_from(entry.at("seconds"));
        known_[a.blocks] = std::move(a);
      }
    } catch (const nlohmann::json::exception& error) {
      fail(ErrorKind::kFormat, file, ": not a table of calibrate; --fresh starts anew");
    }
  }

  // Of an assembly that is `known` only the proxies that are new.
  Calibration::Assembly measure(const zoo::PlanFile& plan, double block_naswot,
                                const std::optional<Calibration::Assembly>& known) const {
    Calibration::Assembly out = known.value_or(Calibration::Assembly{});
    out.blocks = blocks_text(plan);
    out.scores["objective"] = plan.objective;
    out.scores["params"] = double(plan.params);
    out.scores["macs"] = double(plan.macs);
    out.scores["block_naswot"] = block_naswot;
    const zoo::LoadedNetwork loaded = zoo::load_plan(plan, options_.seed);
    nn::Network& network = *loaded.network;
    zoo::fit_stitches(network, plan, train_, options_.fit_images, options_.seed, {}, stop_);
    const zoo::ProxyBatch batch =
        zoo::proxy_batch(train_, sample_, network.input(), loaded.card.preprocessing);
    for (const zoo::Proxy* proxy : options_.proxies) {
      if (stop_.stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
      if (out.scores.contains(proxy->name)) continue;
      const auto start = std::chrono::steady_clock::now();
      out.scores[proxy->name] = zoo::score(*proxy, network, batch, &plan);
      out.seconds[proxy->name] = seconds_since(start);
    }
    if (known) return out;
    out.stitched = top1(loaded);
    if (options_.tune) {
      zoo::freeze_sources(network);
      Progress progress("calibrate: training");
      out.tuning_seconds =
          train_network(network, loaded.card, train_, options_.training, {}, progress, stop_)
              .seconds;
      out.tuned = top1(loaded);
    }
    return out;
  }

  double top1(const zoo::LoadedNetwork& loaded) const {
    return evaluate(*loaded.network, loaded.card, test_, 250, {}, stop_).top1;
  }

  void rank() {
    const std::vector<Calibration::Assembly>& all = result_.assemblies;
    std::vector<double> tuned, stitched, naswot;
    for (const Calibration::Assembly& a : all) {
      if (a.tuned) tuned.push_back(*a.tuned);
      stitched.push_back(a.stitched);
      if (a.scores.contains("naswot")) naswot.push_back(a.scores.at("naswot"));
    }
    // The stitched accuracy is a score too: it costs a fit and no training.
    const auto score_of = [](const Calibration::Assembly& a, const std::string& name) {
      return name == kStitched ? a.stitched : a.scores.at(name);
    };
    const auto against = [](const std::vector<double>& scores, const std::vector<double>& truth) {
      return truth.size() == scores.size() ? solvers::kendall_tau(scores, truth) : std::nan("");
    };
    std::vector<std::string> names(std::begin(kBaselines), std::end(kBaselines));
    names.push_back(kStitched);
    for (const zoo::Proxy* proxy : options_.proxies) names.push_back(proxy->name);
    for (const std::string& name : names) {
      std::vector<double> scores;
      double seconds = 0;
      for (const Calibration::Assembly& a : all) {
        scores.push_back(score_of(a, name));
        if (a.seconds.contains(name)) seconds += a.seconds.at(name) / double(all.size());
      }
      result_.rows.push_back({name, against(scores, tuned), against(scores, stitched),
                              against(scores, naswot), seconds});
    }
    const auto worth = [&](const Calibration::Row& row) {
      const double tau = options_.tune ? row.tuned : row.stitched;
      return std::isnan(tau) ? kWorst : tau;
    };
    std::stable_sort(result_.rows.begin(), result_.rows.end(),
                     [&](const auto& a, const auto& b) { return worth(a) > worth(b); });
    result_.chance = solvers::kendall_chance(all.size());
  }

  void write() const {
    Json assemblies = Json::array(), table = Json::array();
    for (const std::optional<Calibration::Assembly>& a : done_) {
      if (!a) continue;
      assemblies.push_back({{"blocks", a->blocks},
                            {"stitched", a->stitched},
                            {"tuned", a->tuned ? Json(*a->tuned) : Json()},
                            {"tuning_seconds", a->tuning_seconds},
                            {"scores", to_json(a->scores)},
                            {"seconds", to_json(a->seconds)}});
    }
    for (const Calibration::Row& row : result_.rows) {
      Json entry =
          to_json({{"tuned", row.tuned}, {"stitched", row.stitched}, {"naswot", row.naswot}});
      table.push_back({{"name", row.name}, {"tau", entry}, {"seconds", row.seconds}});
    }
    const Json json{{"format", kFormat},
                    {"settings", settings_},
                    {"assemblies", assemblies},
                    {"table", table},
                    {"chance", result_.chance}};
    zoo::write_file_atomically(options_.out, json.dump(1) + "\n");
  }

  const CalibrationOptions& options_;
  std::stop_token stop_;
  Json settings_;
  std::map<std::string, Calibration::Assembly> known_;      // of earlier sittings, by their blocks
  std::vector<std::optional<Calibration::Assembly>> done_;  // in the sample's order
  Calibration result_;
  std::shared_ptr<const zoo::Dataset> train_, test_;
  std::vector<int64_t> sample_;
};

}  // namespace

Calibration calibrate(const CalibrationOptions& options, std::stop_token stop) {
  try {
    return Calibrator(options, stop).run();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInterrupted) throw;
    fail(ErrorKind::kInterrupted, "stopped; the same command goes on from ", options.out.string());
  }
}

}  // namespace kintsugi::apps

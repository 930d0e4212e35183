// similarity, partition, reassemble and what follows them, and the demo that does it all.
#include <set>

#include "kintsugi/zoo/files/plan_file.h"
#include "tests/apps/run.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

struct Files {
  Scratch scratch;
  std::string data = tiny_data(scratch).string();
  std::string zoo = tiny_zoo(scratch).string();
  std::string similarity = (scratch / "sim.json").string();
  std::string partition = (scratch / "partition.json").string();
  std::string plan = (scratch / "plan.json").string();

  Files() {
    const Outcome outcome = test::kintsugi({"similarity", "--zoo", zoo, "--data", data, "--out",
                                            similarity, "--images", "40", "--batch-size", "20"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
  }
  Outcome cut(const std::string& k = "4") const {
    return test::kintsugi(
        {"partition", "--similarity", similarity, "-k", k, "--out", partition, "--json"});
  }
  Outcome reassemble(std::vector<std::string> more) const {
    std::vector<std::string> words{"reassemble", "--partition", partition, "--out", plan, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return test::kintsugi(words);
  }
};

}  // namespace

TEST_CASE("steps: a zoo comes apart and back together through files") {
  const Files files;
  const auto similarity = nlohmann::json::parse(text_of(files.similarity));
  CHECK(similarity.at("format") == "kintsugi-similarity/1");
  size_t positions = 0;
  for (const auto& model : similarity.at("models")) positions += model.at("nodes").size() + 1;
  CHECK(similarity.at("similarity").size() == positions);

  const Outcome cut = files.cut();
  CAPTURE(cut.err);
  REQUIRE(cut.code == 0);
  const auto partition = cut.json();
  CHECK(partition.at("gap") == doctest::Approx(0).epsilon(1e-9));
  CHECK(partition.at("objective").get<double>() >=
        partition.at("heuristic").at("objective").get<double>() - 1e-9);
  for (const auto& model : partition.at("models")) CHECK(model.at("cuts").size() == 3);

  const Outcome chosen = files.reassemble({"--max-params", "300k", "--max-macs", "30M"});
  CAPTURE(chosen.err);
  REQUIRE(chosen.code == 0);
  const auto result = chosen.json();
  CHECK(result.at("status") == "optimal");
  CHECK(result.at("blocks").size() == 4);
  CHECK(result.at("params").get<int64_t>() <= 300'000);
  CHECK(result.at("macs").get<int64_t>() <= 30'000'000);
  std::map<std::string, int> uses;
  for (const auto& block : result.at("blocks")) ++uses[block.at("model").get<std::string>()];
  for (const auto& [name, count] : uses) CHECK(count <= 2);

  const auto inspected = test::kintsugi({"inspect", files.plan, "--json"}).json();
  CHECK(inspected.at("params") == result.at("params"));
  CHECK(inspected.at("macs") == result.at("macs"));

  const std::string out = (files.scratch / "tuned.safetensors").string();
  const Outcome tuned = test::kintsugi({"finetune", "--plan", files.plan, "--data", files.data,
                                        "--out", out, "--epochs", "1", "--fit-images", "40",
                                        "--freeze", "--batch-size", "20", "--json"});
  CAPTURE(tuned.err);
  REQUIRE(tuned.code == 0);
  // The new plan carries the trained weights.
  const auto measured =
      test::kintsugi({"eval", "--weights", out + ".plan.json", "--data", files.data, "--json"})
          .json();
  CHECK(measured.at("top1") == tuned.json().at("top1"));
  CHECK(measured.at("loss").get<double>() ==
        doctest::Approx(tuned.json().at("loss").get<double>()).epsilon(1e-4));
}

TEST_CASE("steps: an infeasible budget says the smallest that would do, with exit 1 and JSON") {
  const Files files;
  REQUIRE(files.cut().code == 0);
  const Outcome outcome = files.reassemble({"--max-params", "10"});
  CHECK(outcome.code == 1);
  CHECK(outcome.error_lines() == 1);
  const auto json = outcome.json();
  CHECK(json.at("status") == "infeasible");
  CHECK(json.at("blocks").empty());
  CHECK_FALSE(fs::exists(files.plan));
  // The budget that it names does.
  const std::string reason = json.at("reason").get<std::string>();
  CAPTURE(reason);
  int64_t named = 0;
  for (size_t i = 0; i < reason.size();) {
    size_t end = i;
    while (end < reason.size() && std::isdigit(reason[end])) ++end;
    if (end > i) named = std::max<int64_t>(named, std::stoll(reason.substr(i, end - i)));
    i = end + 1;
  }
  CHECK(files.reassemble({"--max-params", std::to_string(named)}).code == 0);
  CHECK(files.reassemble({"--max-params", std::to_string(named - 1)}).code == 1);
}

TEST_CASE("steps: every limit has its remedy in JSON, and rules their words") {
  const Files files;
  REQUIRE(files.cut().code == 0);
  const Outcome outcome =
      files.reassemble({"--max-params", "10", "--max-macs", "40M", "--max-bytes", "1M",
                        "--max-sources", "1", "--max-activation-bytes", "100M"});
  CHECK(outcome.code == 1);
  const auto remedies_of = [](const Outcome& of) {
    std::map<std::string, nlohmann::json> remedies;
    const auto json = of.json();
    for (const auto& entry : json.at("remedies")) {
      remedies[entry.at("limit").get<std::string>()] = entry;
    }
    return remedies;
  };
  auto remedies = remedies_of(outcome);
  // At most two blocks of a network of four, all of one checkpoint: none.
  for (const std::string limit : {"params", "macs", "bytes", "activation_bytes", "max_sources"}) {
    CAPTURE(limit);
    REQUIRE(remedies.count(limit) == 1);
    CHECK(remedies[limit].at("needed").is_null());
  }
  CHECK(remedies["params"].at("got") == 10);
  remedies = remedies_of(files.reassemble({"--max-sources", "1"}));
  CHECK(remedies["max_sources"].at("needed") == 2);
  CHECK(remedies["max_per_model"].at("needed") == 4);
  CHECK(files.reassemble({"--max-per-model", "4", "--max-sources", "1"}).code == 0);

  CHECK(files.reassemble({"--max-bytes", "-1"}).code == 2);
  CHECK(files.reassemble({"--max-params", "nan"}).code == 2);
  CHECK(files.reassemble({"--max-latency", "3"}).err.find("--latency") != std::string::npos);
  CHECK(files.reassemble({"--licences", "MTI"}).code == 2);
  CHECK(files.reassemble({"--licences", "MTI"}).error_lines() == 1);
  CHECK(files.reassemble({"--forbid", "resnet_nanu"}).err.find("did you mean 'resnet_nano'") !=
        std::string::npos);
  CHECK(files.reassemble({"--objective", "naswot"}).err.find("--data") != std::string::npos);
}

TEST_CASE("steps: two checkpoints of one model, told apart by their names") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string(), zoo = (scratch / "zoo.json").string();
  const std::string sim = (scratch / "sim.json").string(), cut = (scratch / "p.json").string();
  const std::string plan = (scratch / "plan.json").string();
  zoo::ZooFile file;
  for (const int seed : {1, 2}) {
    const zoo::LoadedNetwork fresh = zoo::fresh_network("resnet_nano", {}, uint64_t(seed));
    const fs::path weights = scratch / ("w" + std::to_string(seed) + ".safetensors");
    zoo::save_network(weights, *fresh.network, fresh.card);
    file.models.push_back({"resnet_nano", weights, 10, {}, {}, "MIT"});
  }
  zoo::write_zoo(zoo, file);
  const std::vector<std::string> measure{"similarity", "--zoo",    zoo,  "--data",       data, "--out",
                                         sim,          "--images", "40", "--batch-size", "20"};
  const Outcome refused = test::kintsugi(measure);
  CHECK(refused.code == 2);
  CHECK(refused.err.find("\"name\"") != std::string::npos);
  file.models[0].name = "supervised";
  file.models[1].name = "self-supervised";
  zoo::write_zoo(zoo, file);
  REQUIRE(test::kintsugi(measure).code == 0);
  REQUIRE(test::kintsugi({"partition", "--similarity", sim, "-k", "2", "--out", cut}).code == 0);
  const Outcome chosen = test::kintsugi({"reassemble", "--partition", cut, "--out", plan, "--json",
                                         "--max-per-model", "1"});
  CAPTURE(chosen.err);
  REQUIRE(chosen.code == 0);
  std::set<std::string> names, digests;
  for (const auto& block : zoo::read_plan(plan).blocks) {
    CHECK(block.architecture == "resnet_nano");
    names.insert(block.model);
    digests.insert(block.sha256);
  }
  CHECK(names == std::set<std::string>{"supervised", "self-supervised"});
  CHECK(digests.size() == 2);
  CHECK(test::kintsugi({"eval", "--weights", plan, "--data", data}).code == 0);

  // A name that no catalog has would cost nothing as a stem and a head.
  auto json = nlohmann::json::parse(text_of(cut));
  json["models"][0]["architecture"] = "resnet_nanno";
  std::ofstream(cut) << json.dump();
  const Outcome wrong = test::kintsugi({"reassemble", "--partition", cut, "--out", plan});
  CHECK(wrong.code == 2);
  CHECK(wrong.err.find("did you mean 'resnet_nano'?") != std::string::npos);
}

TEST_CASE("steps: the reference's random search, what it breaks counted") {
  const Files files;
  REQUIRE(files.cut("3").code == 0);
  const std::vector<std::string> words{"--compat", "dery", "--data", files.data, "--trials", "2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return files.reassemble(more);
  };
  const Outcome found = with({"--max-params", "1M", "--seed", "3"});
  CAPTURE(found.err);
  REQUIRE(found.code == 0);
  CHECK(found.json().at("status") == "feasible");
  CHECK(found.json().at("bound").is_null());
  CHECK(found.json().at("blocks").size() == 3);
  const auto reference = found.json().at("reference");
  CHECK(reference.at("in_budget") <= reference.at("built"));
  CHECK(reference.at("scored_params") < 1000000);
  CHECK(found.err.find("what it breaks") != std::string::npos);
  CHECK(with({"--max-params", "1M", "--seed", "3"}).json().at("objective") ==
        found.json().at("objective"));
  const std::string scored = std::to_string(reference.at("scored_params").get<int64_t>());
  // Both ends are strict, so what was found cannot be found again.
  CHECK(with({"--max-params", scored, "--min-params", scored, "--seed", "3"}).code == 1);
  CHECK(with({"--max-sources", "2"}).code == 2);
  CHECK(files.reassemble({"--compat", "dery"}).err.find("--data") != std::string::npos);
  CHECK(files.reassemble({"--min-params", "1"}).code == 2);
}

TEST_CASE("steps: fronts, latencies and the stitch graph write plans that are what they count") {
  const Files files;
  REQUIRE(files.cut().code == 0);
  const auto check_plan = [&](const std::string& path, const nlohmann::json& json) {
    const auto inspected = test::kintsugi({"inspect", path, "--json"}).json();
    CHECK(inspected.at("params") == json.at("params"));
    CHECK(inspected.at("macs") == json.at("macs"));
  };
  const std::string second = (files.scratch / "plan.2.json").string();
  Outcome outcome = files.reassemble({"--front", "params,macs", "--best", "2"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  auto json = outcome.json();
  CHECK(json.at("status") == "optimal");
  CHECK(json.at("complete") == true);
  REQUIRE(json.at("front").size() >= 2);
  check_plan(files.plan, json.at("front")[0]);
  check_plan(second, json.at("front")[1]);
  CHECK(files.reassemble({"--front", "parms"}).err.find("did you mean 'params'") !=
        std::string::npos);

  const std::string table = (files.scratch / "latency.json").string();
  outcome = test::kintsugi({"latency", "--partition", files.partition, "--out", table,
                            "--assemblies", "1", "--threads", "1", "--json"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.json().at("threads") == 1);
  outcome =
      files.reassemble({"--latency", table, "--threads", "1", "--front", "latency_ms,params"});
  REQUIRE(outcome.code == 0);
  const double fastest = outcome.json().at("front").back().at("costs").at("latency_ms");
  CHECK(fastest > 0);
  outcome = files.reassemble({"--latency", table, "--max-latency", "1e-6", "--threads", "1"});
  CHECK(outcome.code == 1);
  CHECK(outcome.json().at("remedies")[0].at("limit") == "latency_ms");

  outcome = files.reassemble({"--objective", "naswot", "--data", files.data, "--images", "10"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.json().at("gap").get<double>() <= 1e-8);
  check_plan(files.plan, outcome.json());

  outcome = test::kintsugi({"stitch-graph", "--similarity", files.similarity, "--out", files.plan,
                            "--min-stitches", "1", "--depth-slack", "0.3", "--json"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.err.find("--quality") != std::string::npos);
  json = outcome.json();
  CHECK(json.at("objective") <= 0);  // no quality is known: stitches only lose
  check_plan(files.plan, json);
  outcome = test::kintsugi({"stitch-graph", "--similarity", files.similarity, "--out", files.plan,
                            "--max-params", "10", "--json"});
  CHECK(outcome.code == 1);
  CHECK(outcome.json().at("remedies")[0].at("limit") == "params");
  CHECK(test::kintsugi({"stitch-graph", "--similarity", files.similarity, "--out", files.plan,
                        "--quality", "resnet_nano=nan"})
            .code == 2);
}

TEST_CASE("steps: more sets than nodes, a zoo of one, a plan for other weights") {
  const Files files;
  Outcome outcome = files.cut("40");
  CHECK(outcome.code != 0);
  CHECK(outcome.err.find("40") != std::string::npos);
  CHECK_FALSE(fs::exists(files.partition));

  zoo::ZooFile zoo = zoo::read_zoo(files.zoo);
  zoo.models.resize(1);
  const std::string lonely = (files.scratch / "lonely.json").string();
  zoo::write_zoo(lonely, zoo);
  outcome = test::kintsugi({"similarity", "--zoo", lonely, "--data", files.data, "--out",
                            (files.scratch / "s.json").string()});
  CHECK(outcome.code != 0);
  CHECK(outcome.err.find("at least two") != std::string::npos);

  REQUIRE(files.cut().code == 0);
  REQUIRE(files.reassemble({}).code == 0);
  for (const char* name : {"resnet_nano", "mobilenetv3_nano"}) {
    const zoo::LoadedNetwork other = zoo::fresh_network(name, {}, 99);
    zoo::save_network(files.scratch / (std::string(name) + ".safetensors"), *other.network,
                      other.card);
  }
  outcome = test::kintsugi({"eval", "--weights", files.plan, "--data", files.data});
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("sha256") != std::string::npos);
}

TEST_CASE("demo: prints the contract's object and writes a page") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string(), zoo = tiny_zoo(scratch).string();
  const std::string out = (scratch / "out").string();
  std::vector<std::string> words{"demo", "--zoo",
                                 zoo,    "--data",
                                 data,   "--out",
                                 out,    "--epochs",
                                 "1",    "--similarity-images",
                                 "40",   "--fit-images",
                                 "40",   "--candidates",
                                 "2",    "--json"};
  const Outcome outcome = test::kintsugi(words);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto json = outcome.json();
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"epochs", "images", "partition", "reassembly", "seconds",
                                         "top1", "zoo"});
  for (const char* key : {"stitched", "freeze", "full", "scratch", "best_zoo_member"}) {
    CAPTURE(key);
    CHECK((json.at("top1").at(key).is_number() || std::string(key) == "best_zoo_member"));
  }
  const auto& reassembly = json.at("reassembly");
  CHECK(reassembly.at("params") <= reassembly.at("budget").at("params"));
  CHECK(reassembly.at("macs") <= reassembly.at("budget").at("macs"));
  CHECK(json.at("images") == 60);
  CHECK(text_of(out + "/report.html").find("</html>") != std::string::npos);
  CHECK(zoo::read_plan(out + "/full.plan.json").params == reassembly.at("params"));

  words.insert(words.end(), {"--max-params", "100"});
  const Outcome infeasible = test::kintsugi(words);
  CHECK(infeasible.code == 1);
  CHECK(infeasible.json().at("reassembly").at("blocks").empty());
}

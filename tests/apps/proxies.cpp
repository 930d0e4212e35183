// `score` and `calibrate`.
#include "tests/apps/run.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

struct Files {
  Scratch scratch;
  std::string data = tiny_data(scratch).string();
  std::string partition = (scratch / "partition.json").string();
  std::string table = (scratch / "table.json").string();

  Files() {
    const std::string zoo = tiny_zoo(scratch).string(), sim = (scratch / "sim.json").string();
    Outcome made = test::kintsugi({"similarity", "--zoo", zoo, "--data", data, "--out", sim,
                                   "--images", "20", "--batch-size", "20"});
    CAPTURE(made.err);
    REQUIRE(made.code == 0);
    made = test::kintsugi({"partition", "--similarity", sim, "-k", "4", "--out", partition});
    REQUIRE(made.code == 0);
  }
  std::vector<std::string> calibrate(std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"calibrate",    "--partition",
                                   partition,      "--data",
                                   data,           "--out",
                                   table,          "--json",
                                   "--images",     "10",
                                   "--fit-images", "20",
                                   "--batch-size", "20",
                                   "--proxy",      "naswot,snip,stitch_residual",
                                   "--assemblies", "5"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

}  // namespace

TEST_CASE("score: plans, weights and names of the catalog, by all proxies that fit them") {
  const Files files;
  const std::string plan = (files.scratch / "plan.json").string();
  REQUIRE(test::kintsugi({"reassemble", "--partition", files.partition, "--out", plan}).code == 0);
  const std::string weights = (files.scratch / "resnet_nano.safetensors").string();
  const std::vector<std::string> words{"score",    plan,       weights, "resnet_nano", "--data",
                                       files.data, "--images", "10",    "--json"};
  const Outcome outcome = test::kintsugi(words);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto json = outcome.json();
  REQUIRE(json.size() == 3);
  CHECK(json[0].at("network") == plan);
  CHECK(json[0].at("scores").size() == 8);
  CHECK(json[1].at("scores").size() == 7);  // no stitches
  CHECK_FALSE(json[1].at("scores").contains("stitch_residual"));
  CHECK(json[1].at("params") == json[2].at("params"));
  CHECK(json[1].at("images") == 10);
  const auto again = test::kintsugi(words).json();
  for (size_t i = 0; i < 3; ++i) CHECK(again[i].at("scores") == json[i].at("scores"));

  const auto fitted = test::kintsugi({"score", plan, "--data", files.data, "--images", "10",
                                      "--json", "--proxy", "stitch_residual", "--fit-images", "60"})
                          .json();
  CHECK(fitted[0].at("scores").at("stitch_residual").get<double>() >
        json[0].at("scores").at("stitch_residual").get<double>());
}

TEST_CASE("score: what is wrong is one line") {
  const Files files;
  for (const auto& [more, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"resnet_nano", "--proxy", "naswat"}, "did you mean 'naswot'"},
           {{"resnet_nano", "--proxy", "snip,snip"}, "'snip' is there twice"},
           {{"resnet_nano", "--proxy", "snip,"}, "there is no ''"},
           {{"resnet_nano", "--proxy", "stitch_residual"}, "needs a plan"},
           {{"resnet_nanp"}, "did you mean 'resnet_nano'"}}) {
    std::vector<std::string> words{"score", "--data", files.data, "--images", "10"};
    words.insert(words.begin() + 1, more.begin(), more.end());
    const Outcome outcome = test::kintsugi(words);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(outcome.error_lines() == 1);
    CHECK(outcome.err.find(part) != std::string::npos);
  }
}

TEST_CASE("calibrate: a killed run goes on and ends as an unbroken one") {
  const Files files;
  const Outcome whole = test::kintsugi(files.calibrate());
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  const auto result = whole.json();
  CHECK(result.at("assemblies") == 5);
  CHECK(result.at("table").size() == 8);  // three proxies, five baselines
  double last = 2;
  for (const auto& row : result.at("table")) {
    const auto tau = row.at("tau");
    for (const char* what : {"tuned", "stitched", "naswot"}) {
      if (tau.at(what).is_null()) continue;
      CHECK(std::abs(tau.at(what).get<double>()) <= 1);
    }
    if (row.at("name") == "naswot") CHECK(tau.at("naswot") == 1);
    const double tuned = tau.at("tuned").is_null() ? -2 : tau.at("tuned").get<double>();
    CHECK(tuned <= last);
    last = tuned;
  }
  const auto unbroken = nlohmann::json::parse(text_of(files.table));
  CHECK(unbroken.at("assemblies").size() == 5);

  // As if it had been killed after two.
  auto cut = unbroken;
  cut["assemblies"].erase(cut["assemblies"].begin() + 2, cut["assemblies"].end());
  cut["table"].clear();
  std::ofstream(files.table) << cut.dump();
  const Outcome rest = test::kintsugi(files.calibrate());
  CAPTURE(rest.err);
  REQUIRE(rest.code == 0);
  CHECK(rest.err.find("2/5") == std::string::npos);
  CHECK(rest.err.find("3/5") != std::string::npos);
  const auto resumed = nlohmann::json::parse(text_of(files.table));
  REQUIRE(resumed.at("assemblies").size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    for (const char* what : {"blocks", "stitched", "tuned", "scores"}) {
      CHECK(resumed.at("assemblies")[i].at(what) == unbroken.at("assemblies")[i].at(what));
    }
  }
  CHECK(resumed.at("table").size() == 8);

  // Another proxy is added, and nothing trained again.
  const Outcome more = test::kintsugi(files.calibrate({"--proxy", "naswot,fisher"}));
  CAPTURE(more.err);
  REQUIRE(more.code == 0);
  CHECK(more.err.find("training") == std::string::npos);
  const auto added = nlohmann::json::parse(text_of(files.table));
  CHECK(added.at("table").size() == 7);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(added.at("assemblies")[i].at("tuned") == unbroken.at("assemblies")[i].at("tuned"));
    CHECK(added.at("assemblies")[i].at("scores").contains("fisher"));
    CHECK(added.at("assemblies")[i].at("scores").contains("snip"));
  }

  // Other settings are another table.
  Outcome other = test::kintsugi(files.calibrate({"--epochs", "2"}));
  CHECK(other.code == 2);
  CHECK(other.err.find("--fresh") != std::string::npos);
  CHECK(other.err.find("training") != std::string::npos);
  std::ofstream(files.table) << "{\"format\": 3}";
  other = test::kintsugi(files.calibrate());
  CHECK(other.code == 1);
  CHECK(other.error_lines() == 1);
  CHECK(test::kintsugi(files.calibrate({"--no-tuning", "--fresh"})).code == 0);
}

TEST_CASE("calibrate: more assemblies than there are, and Ctrl-C") {
  const Files files;
  std::vector<std::string> words = files.calibrate();
  words.back() = "50";
  const Outcome outcome = test::kintsugi(words);
  CHECK(outcome.code == 2);
  CHECK(outcome.error_lines() == 2);  // what it was doing, and the error
  CHECK(outcome.err.find("found 6 assemblies") != std::string::npos);

  Running run(files.calibrate());
  while (!run.ended() && !fs::exists(files.table)) usleep(5'000);  // the first of five is done
  run.send(SIGINT);
  const Outcome stopped = run.finish();
  CAPTURE(stopped.err);
  CHECK(stopped.code == 1);
  CHECK(stopped.err.find("the same command goes on from " + files.table) != std::string::npos);
}

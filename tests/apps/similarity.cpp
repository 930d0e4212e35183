// kintsugi similarity: every metric, the cache through a kill, the reference's way, exact pairs.
#include <chrono>
#include <thread>

#include "tests/apps/run.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

struct Files {
  Scratch scratch;
  std::string data = tiny_data(scratch).string();
  std::string zoo = tiny_zoo(scratch).string();

  std::string at(const std::string& name) const { return (scratch / name).string(); }
  std::vector<std::string> words(const std::string& out, std::vector<std::string> more) const {
    std::vector<std::string> all{"similarity", "--zoo", zoo, "--data", data, "--out", at(out)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  nlohmann::json measure(const std::string& out, const std::vector<std::string>& more) const {
    const Outcome outcome = test::kintsugi(words(out, more));
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    return nlohmann::json::parse(text_of(at(out)));
  }
};

size_t records(const fs::path& folder) {
  size_t count = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    count += entry.path().extension() == ".sim";
  }
  return count;
}

}  // namespace

TEST_CASE("similarity command: every metric goes on to a partition") {
  const Files files;
  for (const std::string metric :
       {"linear-cka", "linear-cka-unbiased", "rbf-cka", "linear-regression", "cca", "svcca"}) {
    CAPTURE(metric);
    const auto json = files.measure("sim.json", {"--metric", metric, "--batch-size", "20"});
    CHECK(json.at("metric") == metric);
    CHECK(json.at("images") == 60);
    CHECK(json.contains("direction") == (metric == "linear-regression"));
    CHECK(json.contains("projection") == (metric.find("cka") == std::string::npos));
    const Outcome cut = test::kintsugi({"partition", "--similarity", files.at("sim.json"), "-k",
                                        "3", "--out", files.at("p.json"), "--json"});
    CAPTURE(cut.err);
    CHECK(cut.code == 0);
  }
  const auto tokens =
      files.measure("sim.json", {"--features", "tokens", "--tokens", "3", "--batch-size", "20"});
  CHECK(tokens.at("tokens") == 3);

  const auto exact = files.measure(
      "sim.json", {"--metric", "svcca", "--dims", "2", "--exact", files.at("p.json")});
  CHECK(exact.at("projection").at("dims") == 2);
  // Both ends and both cuts: the sides of a stitch stand at the same cut.
  CHECK(exact.at("exact").size() == 4);
}

TEST_CASE("similarity command: killed in the middle and run again, the same bytes") {
  const Files files;
  const std::vector<std::string> options{"--images", "60", "--batch-size", "6"};
  files.measure("plain.json", options);
  std::vector<std::string> cached = options;
  cached.insert(cached.end(), {"--cache", files.at("cache")});
  Running running(files.words("sim.json", cached));
  while (!running.ended() && records(files.at("cache")) < 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  running.send(SIGKILL);
  running.finish();
  // Asked to stop, it says how to go on.
  Running asked(files.words("sim.json",
                            {"--images", "60", "--batch-size", "4", "--cache", files.at("other")}));
  while (!asked.ended() && records(files.at("other")) < 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  asked.send(SIGINT);
  const Outcome stopped = asked.finish();
  if (stopped.code != 0) CHECK(stopped.err.find("the same call goes on from") != std::string::npos);
  const size_t left = records(files.at("cache"));
  CHECK(left >= 3);
  files.measure("sim.json", cached);
  CHECK(records(files.at("cache")) == 20);
  CHECK(text_of(files.at("sim.json")) == text_of(files.at("plain.json")));
  const Outcome again = test::kintsugi(files.words("sim.json", cached));
  CHECK(again.err.find("at most") != std::string::npos);  // its size, beforehand
  CHECK(again.err.find("made anew") == std::string::npos);
}

TEST_CASE("similarity command: the reference's way takes the test images, all but the last") {
  const Files files;
  const auto json = files.measure("sim.json", {"--compat", "dery"});
  CHECK(json.at("compat") == "dery");
  CHECK(json.at("images") == 39);
  CHECK(json.at("batch_size") == 39);
  const auto& s = json.at("similarity");
  for (size_t j = 0; j < s.size(); ++j) CHECK(s.at(0).at(j) == s.at(1).at(j));
}

TEST_CASE("similarity command: words that do not go together, one line each") {
  const Files files;
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& part) {
    const Outcome outcome = test::kintsugi(files.words("sim.json", std::move(more)));
    CAPTURE(outcome.err);
    CHECK(outcome.code == code);
    CHECK(outcome.error_lines() == 1);
    CHECK(outcome.err.find(part) != std::string::npos);
    CHECK_FALSE(fs::exists(files.at("sim.json")));
  };
  refused({"--metric", "linear-ckaa"}, 2, "linear-cka");
  refused({"--metric", "cca", "--compat", "dery"}, 2, "the reference has linear-cka and rbf-cka");
  refused({"--batch-size", "1"}, 2, "expected at least 2");
  refused({"--metric", "cca", "--projection", "none"}, 2, "more images");
  refused({"--max-memory", "10k"}, 2, "are allowed");
  refused({"--cache", files.zoo}, 1, "cannot make this folder");
}

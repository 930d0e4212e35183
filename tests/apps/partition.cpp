// partition's words, and files that are no partitions.
#include "tests/apps/run.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("partition: rules, free sets, the reference and typing errors") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string(), zoo = tiny_zoo(scratch).string();
  const std::string sim = (scratch / "sim.json").string(), out = (scratch / "p.json").string();
  REQUIRE(test::kintsugi({"similarity", "--zoo", zoo, "--data", data, "--out", sim, "--images", "40",
                          "--batch-size", "20"})
              .code == 0);
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"partition", "--similarity", sim, "--out", out, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = test::kintsugi(words);
    CAPTURE(outcome.err);
    CHECK(outcome.err.find("internal") == std::string::npos);
    return outcome;
  };
  const auto all = nlohmann::json::parse(text_of(sim)).at("models");
  const std::string name = all[0].at("name"), node = all[0].at("nodes")[2];

  const Outcome ruled = run({"-k", "3", "--epsilon", "1", "--blocks", name + "=2", "--cut",
                             name + ":" + node, "--force", name, "--size", "params"});
  REQUIRE(ruled.code == 0);
  CHECK(ruled.json().at("models")[0].at("cuts") == nlohmann::json{3});
  CHECK(ruled.json().at("gap") == 0);
  // What follows takes sets of different sizes.
  CHECK(test::kintsugi({"reassemble", "--partition", out, "--out", (scratch / "plan.json").string()})
            .code == 0);

  const Outcome free = run({"-k", "3", "--epsilon", "0.5", "--free-sets"});
  REQUIRE(free.code == 0);
  CHECK(free.json().at("free_sets") == true);
  CHECK(test::kintsugi({"reassemble", "--partition", out, "--out", (scratch / "plan.json").string()})
            .code == 0);

  const Outcome reference = run({"-k", "3", "--compat", "dery", "--trials", "5"});
  REQUIRE(reference.code == 0);
  CHECK(reference.json().at("bound").is_null());
  CHECK(reference.json().at("reference").contains("stale_centres"));
  CHECK(reference.err.find("what it breaks") != std::string::npos);

  Outcome wrong = run({"--forbid", name + "x"});
  CHECK(wrong.code == 2);
  CHECK(wrong.err.find("did you mean '" + name + "'?") != std::string::npos);
  CHECK(wrong.error_lines() == 1);
  wrong = run({"--epsilon", "nan"});
  CHECK(wrong.code != 0);
  CHECK(wrong.error_lines() == 1);
  wrong = run({"--epsilon", "-1"});
  CHECK(wrong.code == 2);
  wrong = run({"--solver", "glkp"});
  CHECK(wrong.code == 2);

  auto json = nlohmann::json::parse(text_of(out));
  json.erase("compat");
  json["sets"][0]["blocks"] = nlohmann::json::array();
  std::ofstream(out) << json.dump();
  wrong = test::kintsugi({"reassemble", "--partition", out, "--out", (scratch / "q.json").string()});
  CHECK(wrong.code == 1);
  CHECK(wrong.error_lines() == 1);
  CHECK(wrong.err.find("sets[0] has no blocks") != std::string::npos);
}

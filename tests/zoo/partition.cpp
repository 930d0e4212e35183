// The partition of a similarity file, its rules by name, and files edited into nonsense.
#include "kintsugi/zoo/partition.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/compare.h"
#include "tests/support/synthetic.h"

using namespace kintsugi;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

// Networks of no catalog: nodes n1, n2, ... of 100, 200, ... parameters.
zoo::SimilarityFile synthetic(const std::vector<size_t>& nodes) {
  const solvers::PartitionProblem problem = solvers::test::zoo(nodes, 0.05, 1);
  zoo::SimilarityFile file;
  file.metric = "linear-cka";
  for (size_t m = 0; m < nodes.size(); ++m) {
    zoo::DissectedModel model;
    model.name = std::string(1, char('a' + m)) + ":net";
    for (size_t i = 1; i <= nodes[m]; ++i) {
      model.nodes.push_back("n" + std::to_string(i));
      model.costs.push_back({int64_t(100 * i), int64_t(1000)});
      model.in.push_back(nn::FeatureShape::grid(8, 4, 4));
      model.out.push_back(nn::FeatureShape::grid(8, 4, 4));
    }
    file.models.push_back(std::move(model));
  }
  file.similarity = problem.similarity;
  return file;
}

struct Folder {
  fs::path path;
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "kintsugi-partition-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

TEST_CASE("partition step: rules by name reach the solver, and the file keeps them") {
  const zoo::SimilarityFile file = synthetic({8, 9, 10, 6});
  zoo::PartitionOptions options;
  options.k = 3;
  options.epsilon = 1;
  options.size = zoo::BlockSize::kParams;
  options.blocks = {"b:net=2"};
  options.must_cut = {"a:net:n3", "c:net:5"};
  options.must_not_cut = {"b:net:n4"};
  options.forced = {"b:net"};
  options.forbidden = {"d:net"};
  const zoo::PartitionFile made = zoo::partition_zoo(file, options);
  REQUIRE(made.models.size() == 3);
  CHECK(made.cuts[1].size() == 1);
  CHECK(made.cuts[1][0] != 4);
  CHECK(std::count(made.cuts[0].begin(), made.cuts[0].end(), 3) == 1);
  CHECK(std::count(made.cuts[2].begin(), made.cuts[2].end(), 5) == 1);
  bool anchored = false;
  size_t blocks = 0;
  for (const auto& set : made.sets) {
    anchored |= set.anchor.model == "b:net";
    blocks += set.blocks.size();
    for (const auto& b : set.blocks) {
      // At most ceil(2 W / blocks) parameters.
      const double n = b.model == "a:net" ? 8 : b.model == "b:net" ? 9 : 10;
      const double size = 50.0 * double((b.first + b.last) * (b.last - b.first + 1));
      CHECK(size <= std::ceil(2 * 50 * n * (n + 1) / (b.model == "b:net" ? 2 : 3)));
    }
  }
  CHECK(anchored);
  CHECK(blocks == 8);
  const Folder folder;
  zoo::write_partition(folder.path / "p.json", made);
  const zoo::PartitionFile read = zoo::read_partition(folder.path / "p.json");
  CHECK(read.cuts == made.cuts);
  CHECK(read.size == "params");
  CHECK_FALSE(read.free_sets);

  options = {};
  options.k = 3;
  options.free_sets = true;
  const zoo::PartitionFile free = zoo::partition_zoo(file, options);
  zoo::write_partition(folder.path / "f.json", free);
  CHECK(zoo::read_partition(folder.path / "f.json").free_sets);
  options.free_sets = false;
  CHECK(free.objective >= zoo::partition_zoo(file, options).objective - 1e-9);
}

TEST_CASE("partition step: the reference's, with what it breaks") {
  const zoo::SimilarityFile file = synthetic({16, 9, 12, 8, 20, 11});
  const zoo::PartitionFile made = zoo::partition_zoo(file, {.k = 3, .dery = true, .trials = 10});
  REQUIRE(made.reference);
  const Folder folder;
  zoo::write_partition(folder.path / "p.json", made);
  const zoo::PartitionFile read = zoo::read_partition(folder.path / "p.json");
  REQUIRE(read.reference);
  CHECK(read.compat == "dery");
  CHECK(read.reference->over_size == made.reference->over_size);
  CHECK(std::isinf(read.bound));
  size_t entries = 0;
  for (const auto& set : read.sets) entries += set.blocks.size();
  CHECK(entries == 6 * 3 + 3);
  // Within the rules nothing is better than the exact answer.
  if (made.reference->over_size == 0 && made.reference->stale_centres == 0) {
    CHECK(made.objective <= made.reference->exact_objective + 1e-9);
  }
  CHECK_ERROR(zoo::partition_zoo(file, {.k = 3, .size = zoo::BlockSize::kMacs, .dery = true}),
              "the reference knows no sizes");
}

TEST_CASE("partition step: words that name nothing") {
  const zoo::SimilarityFile file = synthetic({8, 9, 10});
  const auto refuse = [&](const char* phrase, auto change) {
    zoo::PartitionOptions options;
    change(options);
    CHECK_ERROR(zoo::partition_zoo(file, options), phrase);
  };
  refuse("no network 'a:nett' in the similarity file; did you mean 'a:net'?",
         [](auto& o) { o.forbidden = {"a:nett"}; });
  refuse("a:net has no node 'n33'", [](auto& o) { o.must_cut = {"a:net:n33"}; });
  refuse("a cut after node 99 of 'a:net', expected 1 to 7",
         [](auto& o) { o.must_cut = {"a:net:99"}; });
  refuse("expected NAME:PLACE", [](auto& o) { o.must_not_cut = {"n3"}; });
  refuse("expected NAME=BLOCKS", [](auto& o) { o.blocks = {"a:net"}; });
  refuse("got '9' for a:net, expected 1 to k = 4", [](auto& o) { o.blocks = {"a:net=9"}; });
  refuse("k is 9, but 'a:net' has only 8 nodes", [](auto& o) { o.k = 9; });
  refuse("got k = 0", [](auto& o) { o.k = 0; });
  refuse("epsilon is -1", [](auto& o) { o.epsilon = -1; });
  refuse("epsilon is nan", [](auto& o) { o.epsilon = NAN; });
  refuse("a zoo of one network", [](auto& o) { o.forbidden = {"a:net", "b:net"}; });
  refuse("the zoo is empty", [](auto& o) { o.forbidden = {"a:net", "b:net", "c:net"}; });
  CHECK_ERROR(zoo::parse_block_size("param"), "did you mean 'params'?");
}

TEST_CASE("partition file: nonsense is told from sense by one line") {
  const Folder folder;
  const fs::path path = folder.path / "p.json";
  zoo::write_partition(path, zoo::partition_zoo(synthetic({8, 9, 10}), {.k = 3}));
  Json good;
  std::ifstream(path) >> good;
  zoo::read_partition(path);
  const auto refuse = [&](const char* phrase, auto change) {
    Json bad = good;
    change(bad);
    std::ofstream(path) << bad.dump();
    CAPTURE(phrase);
    try {
      zoo::read_partition(path);
      FAIL("no error");
    } catch (const Error& error) {
      const std::string text = error.what();
      CAPTURE(text);
      CHECK(text.find(phrase) != std::string::npos);
      CHECK(text.find('\n') == std::string::npos);
    }
  };
  refuse("sets[1] has no blocks", [](Json& j) { j["sets"][1]["blocks"] = Json::array(); });
  refuse("expected 3 sets", [](Json& j) { j["sets"].erase(2); });
  refuse("k is 0", [](Json& j) { j["k"] = 0; });
  refuse("epsilon is -0.5", [](Json& j) { j["epsilon"] = -0.5; });
  refuse("field 'epsilon' has the wrong type", [](Json& j) { j["epsilon"] = nullptr; });
  refuse("models[0] (a:net): cuts must rise inside 1..7", [](Json& j) {
    std::swap(j["models"][0]["cuts"][0], j["models"][0]["cuts"][1]);
  });
  refuse("cuts must rise", [](Json& j) { j["models"][0]["cuts"] = {3, 8}; });
  refuse("got 3 cuts, expected at most 2", [](Json& j) { j["models"][0]["cuts"] = {1, 3, 5}; });
  refuse("is no block of its cuts", [](Json& j) {
    auto& cut = j["models"][1]["cuts"][0];
    cut = cut.get<int>() + 1;
  });
  refuse("is no block of its cuts", [](Json& j) { j["models"][1]["cuts"].erase(0); });
  refuse("block 2 is in no set", [](Json& j) {
    const bool first = j["sets"][1]["blocks"][0]["model"] == j["sets"][1]["anchor"]["model"];
    j["sets"][1]["blocks"].erase(first ? 1 : 0);
  });
  refuse("is in set 1 too", [](Json& j) {
    j["sets"][1]["blocks"].push_back(j["sets"][0]["blocks"][0]);
  });
  refuse("expected rising sets", [](Json& j) {
    // Only blocks that are no anchors, so that nothing else is wrong.
    for (int m = 0; m < 3; ++m) {
      auto &first = j["sets"][0]["blocks"][m], &second = j["sets"][1]["blocks"][m];
      if (first["model"] == j["sets"][0]["anchor"]["model"]) continue;
      if (second["model"] == j["sets"][1]["anchor"]["model"]) continue;
      std::swap(first, second);
      return;
    }
  });
  refuse("is none of the set's blocks", [](Json& j) { j["sets"][0]["anchor"]["last"] = 99; });
  refuse("is none of the set's blocks", [](Json& j) {
    j["sets"][0]["anchor"] = j["sets"][1]["anchor"];
  });
  refuse("no model 'z:net' in this file", [](Json& j) {
    for (auto& b : j["sets"][0]["blocks"]) {
      if (b["model"] != j["sets"][0]["anchor"]["model"]) b["model"] = "z:net";
    }
  });
  refuse("is there twice", [](Json& j) { j["models"][1] = j["models"][0]; });
  refuse("has the wrong type", [](Json& j) { j["sets"][0]["blocks"][0]["similarity"] = "NaN"; });
  refuse("is 7, expected a number in [-2, 2]",
         [](Json& j) { j["sets"][0]["blocks"][0]["similarity"] = 7; });
  refuse("similarities to their anchors sum to", [](Json& j) { j["objective"] = 1000; });
  refuse("is below the objective", [](Json& j) { j["bound"] = 1; });
  refuse("expected 2 tables of stitches", [](Json& j) { j["stitches"].erase(0); });
  refuse("stitches[0]: expected 3 rows of 3 numbers", [](Json& j) { j["stitches"][0].erase(0); });
  refuse("a score is 3", [](Json& j) { j["stitches"][0][1][2] = 3; });
  refuse("expected 'kintsugi-partition/1'", [](Json& j) { j["format"] = "kintsugi-partition/2"; });
  refuse("has no models", [](Json& j) { j["models"] = Json::array(); });
}

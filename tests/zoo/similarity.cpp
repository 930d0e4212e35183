// Similarity of a zoo: metrics, features, the cache, the reference's way, and what SIM.json may
// say.
#include "kintsugi/zoo/similarity.h"

#include <fstream>
#include <map>
#include <set>

#include "kintsugi/solvers/similarity.h"
#include "kintsugi/zoo/files/matrix_text.h"
#include "kintsugi/zoo/partition.h"
#include "kintsugi/zoo/similarity/cache.h"
#include "kintsugi/zoo/similarity/features.h"
#include "tests/support/compare.h"
#include "tests/zoo/synthetic_zoo.h"

using namespace kintsugi;
namespace fs = std::filesystem;
using test::images;
using test::make_zoo;
using test::Scratch;

namespace {

const std::vector<std::string> kNames{"resnet_nano", "vit_nano_patch4_28"};

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::map<std::string, fs::file_time_type> files_in(const fs::path& folder) {
  std::map<std::string, fs::file_time_type> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    out[entry.path().filename()] = entry.last_write_time();
  }
  return out;
}

// Interrupts after `fraction`, then says what came of it.
void run_until(std::vector<zoo::ZooMember>& members, const zoo::SimilarityOptions& options,
               double fraction) {
  std::stop_source source;
  CHECK_ERROR(zoo::similarity_of(
                  members, images(), options,
                  [&](double done) {
                    if (done >= fraction) source.request_stop();
                  },
                  source.get_token()),
              "stopped");
}

}  // namespace

TEST_CASE(
    "similarity of a zoo: with a cache, without, after a stop, with damaged files: the same bits") {
  Scratch scratch;
  auto members = zoo::load_zoo(make_zoo(scratch.path, kNames));
  for (const zoo::Metric metric : {zoo::Metric::kLinearCkaUnbiased, zoo::Metric::kRbfCka,
                                   zoo::Metric::kSvcca, zoo::Metric::kLinearRegression}) {
    CAPTURE(zoo::laws_of(metric).name);
    zoo::SimilarityOptions options{.metric = metric, .images = 48, .batch_size = 16};
    const solvers::Matrix plain = zoo::similarity_of(members, images(), options).similarity;

    options.cache = scratch.path / zoo::laws_of(metric).name;
    run_until(members, options, 0.4);
    const auto half = files_in(options.cache);
    CHECK(half.size() >= 1);
    std::vector<std::string> said;
    const auto say = [&](const std::string& text) { said.push_back(text); };
    CHECK(zoo::similarity_of(members, images(), options, {}, {}, say).similarity.values ==
          plain.values);
    REQUIRE(said.size() == 1);
    CHECK(said[0].find("cache") != std::string::npos);
    const auto whole = files_in(options.cache);
    CHECK(whole.size() > half.size());
    for (const auto& [name, time] : half) CHECK(whole.at(name) == time);
    uintmax_t bytes = 0;
    for (const auto& [name, time] : whole) bytes += fs::file_size(options.cache / name);
    const zoo::SimilarityCost cost = zoo::similarity_cost(members, 48, options);
    CHECK(cost.cache_files == int64_t(whole.size()));
    CHECK(bytes <= uintmax_t(cost.cache));
    CHECK(bytes > uintmax_t(cost.cache) / 2);

    // Cut short, one bit turned, emptied, and another's file under this name.
    for (const int damage : {0, 1, 2, 3}) {
      const fs::path victim = options.cache / whole.begin()->first;
      const std::string good = bytes_of(victim);
      std::string bad = good;
      if (damage == 0) bad.resize(bad.size() - 100);
      if (damage == 1) bad[bad.size() / 2] = char(bad[bad.size() / 2] ^ 4);
      if (damage == 2) bad.clear();
      if (damage == 3) bad = bytes_of(options.cache / whole.rbegin()->first);
      std::ofstream(victim, std::ios::binary) << bad;
      said.clear();
      CHECK(zoo::similarity_of(members, images(), options, {}, {}, say).similarity.values ==
            plain.values);
      REQUIRE(said.size() == 2);
      CHECK(said[1].find("made anew") != std::string::npos);
      CHECK(bytes_of(victim) == good);
    }
  }
}

TEST_CASE("similarity of a zoo: a network added to a cache costs only its own features") {
  Scratch scratch;
  std::vector<std::string> names = kNames;
  names.push_back("convformer_nano");
  const zoo::ZooFile three = make_zoo(scratch.path, names);
  zoo::ZooFile two = three;
  two.models.pop_back();
  const zoo::SimilarityOptions options{
      .images = 32, .batch_size = 16, .cache = scratch.path / "cache"};
  auto members = zoo::load_zoo(two);
  zoo::similarity_of(members, images(), options);
  const auto before = files_in(options.cache);
  CHECK(before.size() == 4);
  members = zoo::load_zoo(three);
  const auto with = zoo::similarity_of(members, images(), options);
  const auto after = files_in(options.cache);
  CHECK(after.size() == 6);
  for (const auto& [name, time] : before) CHECK(after.at(name) == time);

  // Other weights, tokens, a normalisation or a metric are other entries; another seed of pooled
  // features shares those batches that hold the same images, here none.
  zoo::SimilarityOptions other = options;
  other.tokens = 2;
  zoo::similarity_of(members, images(), other);
  CHECK(files_in(options.cache).size() == 12);
  members[0].loaded.card.preprocessing.std = {0.5};
  const auto changed = zoo::similarity_of(members, images(), options);
  CHECK(files_in(options.cache).size() == 14);
  CHECK(changed.similarity.values != with.similarity.values);
  const zoo::LoadedNetwork fresh = zoo::fresh_network("resnet_nano", {}, 99);
  zoo::save_network(three.models[0].weights, *fresh.network, fresh.card);
  members = zoo::load_zoo(three);
  CHECK(zoo::similarity_of(members, images(), options).similarity.values != with.similarity.values);
  CHECK(files_in(options.cache).size() == 16);
}

TEST_CASE("similarity of a zoo: the reference's way, by hand") {
  Scratch scratch;
  auto members = zoo::load_zoo(make_zoo(scratch.path, kNames));
  const auto data = images();
  // 48 images: the last is dropped, then batches of 20, 20 and 7 that weigh alike.
  const auto got =
      zoo::similarity_of(members, data, {.compat = zoo::SimilarityCompat::kDery, .batch_size = 20});
  CHECK(got.compat == "dery");
  CHECK(got.images == 47);
  std::vector<int64_t> in_order(47);
  for (size_t i = 0; i < 47; ++i) in_order[i] = int64_t(i);
  std::vector<std::vector<Tensor>> features;
  size_t nodes = 0;
  for (zoo::ZooMember& member : members) {
    std::vector<int64_t> outputs;
    for (int64_t p = 1; p < member.loaded.network->positions(); ++p) outputs.push_back(p);
    nodes += outputs.size();
    zoo::LoaderOptions loader =
        zoo::loader_options(member.loaded.network->input(), member.loaded.card.preprocessing, 48);
    loader.prefetch = 0;
    features.push_back(zoo::features_of(member, zoo::Loader(data, loader), in_order, outputs, {}));
  }
  solvers::StreamingCka cka(nodes);
  for (const auto& [begin, count] : {std::pair<size_t, size_t>{0, 20}, {20, 20}, {40, 7}}) {
    cka.begin_batch(count);
    size_t position = 0;
    for (const auto& of_network : features) {
      for (const Tensor& f : of_network) {
        const auto channels = size_t(f.size(1));
        cka.add(position++, f.data<float>() + begin * channels, count, channels);
      }
    }
    cka.end_batch();
  }
  const solvers::Matrix want = cka.similarity();
  REQUIRE(got.similarity.rows == nodes + 2);
  // Position 0 is given what position 1 has.
  std::vector<size_t> node;
  for (size_t m = 0, base = 0; m < 2; base += features[m++].size()) {
    node.push_back(base);
    for (size_t p = 0; p < features[m].size(); ++p) node.push_back(base + p);
  }
  for (size_t i = 0; i < node.size(); ++i) {
    for (size_t j = 0; j < node.size(); ++j) CHECK(got.similarity(i, j) == want(node[i], node[j]));
  }

  zoo::SimilarityOptions options{.metric = zoo::Metric::kCca,
                                 .compat = zoo::SimilarityCompat::kDery};
  CHECK_ERROR(zoo::similarity_of(members, data, options), "the reference has");
  options = {.compat = zoo::SimilarityCompat::kDery, .images = 42, .batch_size = 20};
  CHECK_ERROR(zoo::similarity_of(members, data, options), "0 / 0");
}

TEST_CASE("similarity of a zoo: sampled tokens lie at the same places whatever the resolution") {
  Scratch scratch;
  auto members = zoo::load_zoo(make_zoo(scratch.path, kNames));
  const auto data = images();
  const std::vector<int64_t> chosen{5, 40, 7};
  for (zoo::ZooMember& member : members) {
    nn::Network& network = *member.loaded.network;
    zoo::LoaderOptions options =
        zoo::loader_options(network.input(), member.loaded.card.preprocessing, 3);
    options.prefetch = 0;
    const zoo::Loader loader(data, options);
    const std::vector<int64_t> positions{0, network.positions() - 1};
    // So many places that every pixel of a position is drawn: their set is the position's.
    const auto sampled = zoo::features_of(member, loader, chosen, positions, {.tokens = 2000});
    network.train(false);
    autograd::NoGrad no_grad;
    const auto& card = member.loaded.card.preprocessing;
    const Tensor x = zoo::normalise(loader.batch_of(chosen), card.mean, card.std);
    network.forward_features(nn::Variable(x), [&](int64_t p, const nn::Variable& feature) {
      for (size_t k = 0; k < 2; ++k) {
        if (positions[k] != p) continue;
        const nn::FeatureShape& shape = network.feature_at(p);
        const Tensor value = feature.value();
        REQUIRE(sampled[k].shape() == Shape{6000, shape.c});
        for (int64_t image = 0; image < 3; ++image) {
          std::map<std::vector<float>, int> want, got;
          for (int64_t at = 0; at < shape.h * shape.w; ++at) {
            std::vector<float> row;
            for (int64_t c = 0; c < shape.c; ++c) {
              const int64_t t = shape.prefix_tokens + at;
              const Tensor one =
                  shape.is_grid()
                      ? value.slice(0, image, image + 1)
                            .slice(1, c, c + 1)
                            .slice(2, at / shape.w, at / shape.w + 1)
                            .slice(3, at % shape.w, at % shape.w + 1)
                      : value.slice(0, image, image + 1).slice(1, t, t + 1).slice(2, c, c + 1);
              row.push_back(float(one.item()));
            }
            ++want[row];
          }
          for (int64_t t = 0; t < 2000; ++t) {
            const float* row = sampled[k].data<float>() + (image * 2000 + t) * shape.c;
            ++got[std::vector<float>(row, row + shape.c)];
          }
          if (shape.h * shape.w <= 200) CHECK(got.size() == want.size());
          for (const auto& [row, count] : got) CHECK(want.count(row) == 1);
        }
      }
    });
    // An image's places are its own, whatever stands beside it.
    const std::vector<int64_t> alone{40};
    const auto one = zoo::features_of(member, loader, alone, positions, {.tokens = 5});
    const auto three = zoo::features_of(member, loader, chosen, positions, {.tokens = 5});
    const int64_t width = one[0].size(1);
    for (int64_t i = 0; i < 5 * width; ++i) {
      CHECK(one[0].data<float>()[i] ==
            doctest::Approx(three[0].data<float>()[5 * width + i]).epsilon(1e-4));
    }
  }
}

TEST_CASE("similarity of a zoo: the pairs of a partition without the projection") {
  Scratch scratch;
  auto members = zoo::load_zoo(make_zoo(scratch.path, kNames));
  zoo::SimilarityOptions options{.metric = zoo::Metric::kLinearRegression, .images = 48};
  options.projection.dims = 3;
  const auto projected = zoo::similarity_of(members, images(), options);
  REQUIRE(projected.projection);
  CHECK(projected.projection->dims == 3);
  CHECK(projected.projection->kept < 1);
  const zoo::PartitionFile partition = zoo::partition_zoo(projected, {.k = 3, .epsilon = 0.5});
  options.exact = zoo::pairs_of(partition, members);
  const auto mixed = zoo::similarity_of(members, images(), options);
  zoo::SimilarityOptions whole = options;
  whole.exact.clear();
  whole.projection.method = solvers::Projection::Method::kNone;
  const auto exact = zoo::similarity_of(members, images(), whole);
  CHECK_FALSE(exact.projection);
  CHECK(mixed.exact == options.exact);
  const std::set<std::pair<int64_t, int64_t>> pairs(mixed.exact.begin(), mixed.exact.end());
  // Every block beside its anchor, and both sides of every stitch.
  size_t changed = 0;
  for (size_t i = 0; i < mixed.similarity.rows; ++i) {
    for (size_t j = 0; j < mixed.similarity.rows; ++j) {
      const bool named = pairs.count(std::minmax(int64_t(i), int64_t(j))) > 0;
      const double want = (named ? exact : projected).similarity(i, j);
      CHECK(mixed.similarity(i, j) == doctest::Approx(want).epsilon(1e-9));
      changed += named && want != projected.similarity(i, j);
    }
  }
  CHECK(changed > pairs.size());
  zoo::write_similarity(scratch.path / "sim.json", mixed);
  const auto read = zoo::read_similarity(scratch.path / "sim.json");
  CHECK(read.exact == mixed.exact);
  CHECK(read.projection->method == "principal");
  CHECK(read.projection->dims == 3);
  CHECK(read.ridge == mixed.ridge);
  CHECK(read.seed == mixed.seed);

  zoo::PartitionFile other = partition;
  other.sets[0].blocks[0].model = "resnet50";
  CHECK_ERROR(zoo::pairs_of(other, members), "the partition has resnet50");
  other = partition;
  other.sets[0].anchor.last = 900;
  CHECK_ERROR(zoo::pairs_of(other, members), "to 900 of");
  options.metric = zoo::Metric::kLinearCka;
  CHECK_ERROR(zoo::similarity_of(members, images(), options), "all its pairs are exact");
  options = {.metric = zoo::Metric::kCca, .images = 48, .exact = {{0, 9999}}};
  CHECK_ERROR(zoo::similarity_of(members, images(), options), "position 9999");
  options = {.max_memory = 1000};
  CHECK_ERROR(zoo::similarity_of(members, images(), options), "are allowed");
}

TEST_CASE("similarity files: what a metric cannot give is refused") {
  Scratch scratch;
  const fs::path path = scratch.path / "sim.json";
  const auto with = [&](const std::string& metric, const std::string& matrix) {
    std::ofstream(path) << R"({"format":"kintsugi-similarity/1","metric":")" << metric
                        << R"(","models":[{"name":"a","nodes":["x","y"],"params":[1,1],)"
                        << R"("macs":[1,1],"kind":["grid","grid"],"in":[[1,2,3],[1,2,3]],)"
                        << R"("out":[[1,2,3],[1,2,3]]}],"similarity":)" << matrix << "}";
    return path;
  };
  const std::string good = "[[1,0.5,0.25],[0.5,1,0],[0.25,0,1.0]]";
  const auto read = zoo::read_similarity(with("linear-cka", good));
  CHECK(read.similarity.values == std::vector<double>{1, 0.5, 0.25, 0.5, 1, 0, 0.25, 0, 1});
  for (const char* metric : {"linear-cka", "linear-cka-unbiased", "rbf-cka", "cca", "svcca"}) {
    CHECK_ERROR(zoo::read_similarity(with(metric, "[[1,0.5,0.25],[0.4,1,0],[0.25,0,1]]")),
                "similarity of a:1 and a:0 is 0.4, expected 0.5");
    CHECK_ERROR(zoo::read_similarity(with(metric, "[[1,0.5,1.25],[0.5,1,0],[1.25,0,1]]")),
                "similarity of a:0 and a:2 is 1.25");
    CHECK_ERROR(zoo::read_similarity(with(metric, "[[1,0.5,0.25],[0.5,0.9,0],[0.25,0,1]]")),
                "similarity of a:1 and a:1 is 0.9, expected 1");
  }
  const std::string negative = "[[1,-0.1,0],[-0.1,1,0],[0,0,1]]";
  CHECK_ERROR(zoo::read_similarity(with("linear-cka", negative)), "expected 0 to 1");
  CHECK(zoo::read_similarity(with("linear-cka-unbiased", negative)).similarity(0, 1) == -0.1);
  // Directed: the two ways may differ.
  CHECK(zoo::read_similarity(with("linear-regression", "[[1,0.5,0],[0.4,1,0],[0,0,1]]"))
            .similarity(1, 0) == 0.4);
  CHECK_ERROR(zoo::read_similarity(with("linear-regression", negative)), "expected 0 to 1");
  // Of a metric that we do not know nothing is known but its shape.
  CHECK(zoo::read_similarity(with("procrustes", "[[3,-7,0],[1,1e2,0],[0,0,1]]")).similarity(1, 1) ==
        100);
  // What rounding took past the limits is put back.
  CHECK(zoo::read_similarity(with("cca", "[[1.000001,0,0],[0,1,-0.000001],[0,0,1]]"))
            .similarity.values == std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});

  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0,0],[0,1,NaN],[0,0,1]]")),
              "similarity[1][2]: got NaN, expected a finite number");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0,0],[0,1,null],[0,0,1]]")), "got null");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0,0],[0,1,1e999],[0,0,1]]")), "got 1e999");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0,0],[0,1],[0,0,1]]")),
              "similarity[1]: got 2 numbers, expected 3");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0],[0,1]]")), "got 2 rows of 2, expected 3");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[]")), "got 0 rows");
  CHECK_ERROR(zoo::read_similarity(with("cca", "{}")), "expected rows");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[1,2]")), "expected a row");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0,0],[0,1,0],[0,0,1]")), "sim.json");
  CHECK_ERROR(zoo::read_similarity(with("cca", "[[1,0,0][0,1,0],[0,0,1]]")), "expected , or ]");
  CHECK_ERROR(zoo::read_similarity(with("cca", good + R"(,"similarity":[[1]])")), "stands twice");
  std::ofstream(path) << R"({"format":"kintsugi-similarity/1","metric":"cca","models":[]})";
  CHECK_ERROR(zoo::read_similarity(path), "field 'similarity' is missing");
}

TEST_CASE("similarity files: numbers as the JSON library reads them, and as it would write them") {
  const std::vector<std::string> texts{"0",
                                       "-0.0",
                                       "1",
                                       "0.1",
                                       "0.333333",
                                       "123456789012345",
                                       "0.30000000000000004",
                                       "1234567890123456789",
                                       "1e-5",
                                       "-2.5E+3",
                                       "0.000001",
                                       "9007199254740993",
                                       "1.7976931348623157e308",
                                       "0.123456789012345678"};
  std::string row = "[[ ";
  for (const std::string& text : texts) row += (row.size() > 3 ? " ,\n" : "") + text;
  row += "]\t] rest";
  size_t at = 0;
  const solvers::Matrix got = zoo::parse_matrix(row, at, "m");
  CHECK(row.substr(at) == " rest");
  REQUIRE(got.cols == texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    CHECK(got(0, i) == std::strtod(texts[i].c_str(), nullptr));
  for (const char* bad : {"01", "+1", ".5", "1.", "-", "1e", "nan", "Infinity", "0x1", "1 2",
                          "\"1\"", "true", "[1]"}) {
    CAPTURE(bad);
    size_t from = 0;
    CHECK_ERROR(zoo::parse_matrix("[[" + std::string(bad) + "]]", from, "m"), "m[0]");
  }

  solvers::Matrix values(2, 4);
  values.values = {1, -0.5, 0.1234567, 0, 1e-7, -1e-6, 123456.75, 1e300};
  const std::string text = zoo::matrix_text(values, "");
  CHECK(text == "[\n  [1.0,-0.5,0.123457,0.0],\n  [0.0,-0.000001,123456.75,1e+300]\n]");
  size_t begin = 0;
  CHECK(zoo::parse_matrix(text, begin, "m")(1, 2) == 123456.75);
  CHECK(begin == text.size());

  using zoo::find_value;
  constexpr size_t kNone = std::string_view::npos;
  const std::string nested = R"({"a":[{"similarity":1}],"b":"x\"}","similarity": [3]})";
  CHECK(find_value(nested, "similarity") == nested.rfind('['));
  CHECK(find_value(R"({"a":1})", "similarity") == kNone);
  for (const char* bad : {"", "[", "{", R"({"a)", R"({"a":)", R"({"a":[)", R"({"a":"\)", "{a:1}"}) {
    CHECK(find_value(bad, "similarity") == kNone);
  }
}

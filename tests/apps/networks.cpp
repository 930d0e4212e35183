// models, inspect, infer and eval.
#include "kintsugi/zoo/weights/npy.h"
#include "tests/apps/run.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("models: every entry has the contract's fields") {
  const Outcome outcome = test::kintsugi({"models", "--json"});
  REQUIRE(outcome.code == 0);
  const auto list = outcome.json();
  CHECK(list.size() >= 20);
  for (const auto& entry : list) {
    CHECK(entry.at("name").is_string());
    CHECK(entry.at("family").is_string());
    CHECK(entry.at("params").get<int64_t>() > 0);
    CHECK(entry.at("macs").get<int64_t>() > 0);
    CHECK(entry.at("input").size() == 3);
  }
}

TEST_CASE("inspect: stem, blocks and head add up, and tokens tell their prefix") {
  for (const char* name : {"resnet_nano", "vit_nano_patch4_28", "caformer_nano"}) {
    const Outcome outcome = test::kintsugi({"inspect", name, "--json"});
    REQUIRE(outcome.code == 0);
    const auto json = outcome.json();
    for (const char* cost : {"params", "macs"}) {
      int64_t sum =
          json.at("stem").at(cost).get<int64_t>() + json.at("head").at(cost).get<int64_t>();
      for (const auto& block : json.at("blocks")) sum += block.at(cost).get<int64_t>();
      CHECK(sum == json.at(cost).get<int64_t>());
    }
    for (const auto& block : json.at("blocks")) {
      CHECK(block.at("in").size() == 3);
      CHECK(block.at("out").size() == 3);
      CHECK(block.contains("prefix_tokens") == (block.at("kind") == "tokens"));
    }
  }
}

TEST_CASE("inspect: the costs of published networks") {
  const auto json = test::kintsugi({"inspect", "resnet50", "--json"}).json();
  CHECK(json.at("params") == 25557032);
  CHECK(json.at("blocks").size() == 16);
}

TEST_CASE("inspect: --kernels times every operator, and none runs its reference kernel") {
  const Outcome outcome = test::kintsugi({"inspect", "convformer_nano", "--kernels"});
  REQUIRE(outcome.code == 0);
  for (const char* word : {"conv2d", "star_relu", "layer_norm", "outside of operators"}) {
    CHECK(outcome.out.find(word) != std::string::npos);
  }
#ifdef __x86_64__
  CHECK(outcome.out.find("reference kernel") == std::string::npos);
#endif
}

TEST_CASE("infer: batches do not matter, and the input is checked") {
  const Scratch scratch;
  tiny_zoo(scratch);
  const std::string weights = (scratch / "resnet_nano.safetensors").string();
  const std::string x = (scratch / "x.npy").string(), y = (scratch / "y.npy").string();
  zoo::write_npy(x, random_tensor({5, 1, 28, 28}, 7, -1, 1, DType::kF32));
  std::vector<std::string> words{
      "infer", "--model", "resnet_nano", "--weights", weights, "--input", x, "--output", y};
  REQUIRE(test::kintsugi(words).code == 0);
  const Tensor whole = zoo::read_npy(y);
  CHECK(whole.shape() == Shape{5, 10});
  CHECK(whole.dtype() == DType::kF32);
  words[1] = "--batch-size";  // the model is then the card's
  words[2] = "2";
  REQUIRE(test::kintsugi(words).code == 0);
  CHECK(error_of(zoo::read_npy(y), whole) < 1e-5);

  zoo::write_npy(x, random_tensor({5, 3, 28, 28}, 7, -1, 1, DType::kF32));
  Outcome outcome = test::kintsugi(words);
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("got 3 channels, expected 1") != std::string::npos);
  zoo::write_npy(x, random_tensor({5, 1, 28, 28}, 7));
  outcome = test::kintsugi(words);
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("f64") != std::string::npos);
  const Tensor images = random_tensor({5, 1, 28, 28}, 7, -1, 1, DType::kF32);
  images.data<float>()[785] = NAN;
  zoo::write_npy(x, images);
  outcome = test::kintsugi(words);
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("NaN or infinity in 1 tensor: images: first at element 785") !=
        std::string::npos);
}

TEST_CASE("eval: counts, limits, and refuses another network's weights") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string();
  tiny_zoo(scratch);
  const std::string weights = (scratch / "resnet_nano.safetensors").string();
  const auto json = test::kintsugi({"eval", "--weights", weights, "--data", data, "--json"}).json();
  CHECK(json.at("images") == 40);
  CHECK(json.at("top1").get<double>() >= 0);
  CHECK(json.at("top5").get<double>() >= json.at("top1").get<double>());
  CHECK(json.at("loss").get<double>() > 0);
  const Outcome wrong = test::kintsugi(
      {"eval", "--model", "vit_nano_patch4_28", "--weights", weights, "--data", data});
  CHECK(wrong.code == 2);
  CHECK(wrong.err.find("resnet_nano") != std::string::npos);
}

TEST_CASE("predict: names and probabilities, and one broken image does not stop the others") {
  const Scratch scratch;
  zoo::LoadedNetwork fresh = zoo::fresh_network("resnet_nano", {}, 3);
  for (int i = 0; i < 10; ++i) fresh.card.labels.push_back("name " + std::to_string(i));
  const std::string weights = (scratch / "w.safetensors").string();
  zoo::save_network(weights, *fresh.network, fresh.card);
  const fs::path images = fs::path(KINTSUGI_SOURCE_DIR) / "tests/zoo/datasets/data";
  const std::string good = (images / "orientation6.jpg").string(), broken = weights;
  const Outcome outcome =
      test::kintsugi({"predict", "--weights", weights, "--top", "3", "--json", good, broken, good});
  if (outcome.err.find("no image decoders") != std::string::npos) return;
  CHECK(outcome.code == 1);
  CHECK(outcome.error_lines() == 1);
  const auto json = outcome.json();
  REQUIRE(json.size() == 3);
  CHECK(json[1].at("error").get<std::string>().find("neither PNG nor JPEG") != std::string::npos);
  CHECK(json[0].at("top") == json[2].at("top"));
  double last = 1;
  for (const auto& entry : json[0].at("top")) {
    CHECK(entry.at("name") == "name " + entry.at("class").dump());
    CHECK(entry.at("probability").get<double>() <= last);
    last = entry.at("probability");
  }
  CHECK(json[0].at("top").size() == 3);
  const Outcome text = test::kintsugi({"predict", "--weights", weights, good});
  CHECK(text.code == 0);
  CHECK(text.out.find(" %  name ") != std::string::npos);
  const Outcome small =
      test::kintsugi({"predict", "--weights", weights, "--max-pixels", "100", good});
  CHECK(small.code == 1);
  CHECK(small.err.find("expected at most 100") != std::string::npos);
  CHECK(test::kintsugi({"predict", "--weights", weights}).code == 2);
}

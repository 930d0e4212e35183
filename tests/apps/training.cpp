// train and finetune: results, cards, and runs that are cut off.
#include <chrono>
#include <thread>

#include "kintsugi/zoo/weights/checkpoint.h"
#include "tests/apps/run.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::vector<std::string> train_words(const std::string& data, const fs::path& out,
                                     const std::string& epochs) {
  return {"train",       "--model",  "mobilenetv3_nano",
          "--data",      data,       "--out",
          out.string(),  "--epochs", epochs,
          "--threads",   "1",        "--batch-size",
          "20",          "--ema",    "0.9",
          "--drop-path", "0.1",      "--json"};
}

bool same_bits(const fs::path& a, const fs::path& b) {
  const auto x = zoo::read_weights(a).tensors, y = zoo::read_weights(b).tensors;
  if (x.size() != y.size()) return false;
  for (const auto& [name, tensor] : x) {
    const auto other = y.find(name);
    if (other == y.end() || other->second.shape() != tensor.shape()) return false;
    if (other->second.to_vector<double>() != tensor.to_vector<double>()) return false;
  }
  return true;
}

// Starts a training, waits for its first checkpoint, and sends the signal.
Outcome cut_off(const std::vector<std::string>& words, const fs::path& checkpoint, int signal) {
  Running running(words);
  while (!fs::exists(checkpoint) && !running.ended()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  running.send(signal);
  return running.finish();
}

}  // namespace

TEST_CASE("train: weights with a card, and evaluation gives the card's figure") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string();
  const fs::path out = scratch / "w.safetensors";
  const Outcome outcome = test::kintsugi(train_words(data, out, "2"));
  REQUIRE(outcome.code == 0);
  const auto result = outcome.json();
  const auto card = test::kintsugi({"inspect", out.string(), "--json"}).json().at("facts");
  CHECK(card.at("epochs") == "2");
  CHECK(card.at("seed") == "0");
  CHECK(card.at("images") == "60");
  CHECK(card.at("command").get<std::string>().rfind("kintsugi train --model", 0) == 0);
  CHECK(card.contains("hours"));
  CHECK_FALSE(fs::exists(out.string() + ".checkpoint"));
  const auto measured =
      test::kintsugi({"eval", "--weights", out.string(), "--data", data, "--json"}).json();
  CHECK(measured.at("top1") == result.at("top1"));
  CHECK(std::stod(card.at("top1").get<std::string>()) ==
        doctest::Approx(measured.at("top1").get<double>()).epsilon(1e-3));
}

TEST_CASE("train: stopped or killed, it goes on with the bits of an unbroken run") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string();
  const fs::path whole = scratch / "whole.safetensors";
  REQUIRE(test::kintsugi(train_words(data, whole, "30")).code == 0);
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    CAPTURE(signal);
    const fs::path out = scratch / ("cut" + std::to_string(signal) + ".safetensors");
    const fs::path checkpoint = out.string() + ".checkpoint";
    const Outcome cut = cut_off(train_words(data, out, "30"), checkpoint, signal);
    CAPTURE(cut.err);
    CHECK_FALSE(fs::exists(out));
    REQUIRE(fs::exists(checkpoint));
    if (signal == SIGKILL) {
      CHECK(cut.code == 128 + SIGKILL);
    } else {
      CHECK(cut.code == 1);
      CHECK(cut.err.find("goes on from " + checkpoint.string()) != std::string::npos);
    }
    const Outcome rest = test::kintsugi(train_words(data, out, "30"));
    REQUIRE(rest.code == 0);
    CHECK(rest.err.find("going on from") != std::string::npos);
    CHECK(same_bits(out, whole));
  }
}

TEST_CASE("train: a checkpoint of another run is refused, --fresh starts anew") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string();
  const fs::path out = scratch / "w.safetensors";
  const fs::path checkpoint = out.string() + ".checkpoint";
  cut_off(train_words(data, out, "30"), checkpoint, SIGKILL);
  REQUIRE(fs::exists(checkpoint));
  const Outcome other = test::kintsugi(train_words(data, out, "2"));
  CHECK(other.code == 2);
  CHECK(other.err.find("--fresh") != std::string::npos);
  auto words = train_words(data, out, "1");
  words.push_back("--fresh");
  CHECK(test::kintsugi(words).code == 0);
}

TEST_CASE("finetune: weights with another number of classes get a new classifier") {
  const Scratch scratch;
  const std::string data = tiny_data(scratch).string();
  tiny_zoo(scratch);
  const std::string weights = (scratch / "mobilenetv3_nano.safetensors").string();
  const std::string out = (scratch / "tuned.safetensors").string();
  const Outcome outcome =
      test::kintsugi({"finetune", "--weights", weights, "--data", data, "--out", out, "--epochs",
                      "1", "--freeze", "--batch-size", "20", "--json"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  // Frozen: everything but the head keeps its bits.
  const auto before = zoo::read_weights(weights).tensors, after = zoo::read_weights(out).tensors;
  size_t changed = 0;
  for (const auto& [name, tensor] : before) {
    if (tensor.to_vector<double>() == after.at(name).to_vector<double>()) continue;
    ++changed;
    CAPTURE(name);
    CHECK((name.rfind("classifier", 0) == 0 || name.rfind("conv_head", 0) == 0));
  }
  CHECK(changed > 0);
  const Outcome neither = test::kintsugi({"finetune", "--data", data, "--out", out});
  CHECK(neither.code == 2);
  CHECK(neither.err.find("neither --plan and --weights") != std::string::npos);
}

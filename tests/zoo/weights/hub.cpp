// Hub folders and checkpoints in several files.
#include "kintsugi/zoo/hub.h"

#include "kintsugi/zoo/load.h"
#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

struct Folder {
  Scratch scratch;
  zoo::LoadedNetwork fresh = zoo::fresh_network("resnet_nano", {}, 3);
  nn::State state = fresh.network->state();

  std::filesystem::path path() const { return scratch.path(); }
  void config(const std::string& text) const { put(scratch / "config.json", text); }
  void weights(const std::string& name, const nn::State& tensors) const {
    zoo::write_weights(scratch / name, {tensors, {}});
  }
  // The halves of the state, and an index of them.
  void shards(const std::string& edit = "", const std::string& instead = "") const {
    nn::State first, second;
    std::string map;
    for (const auto& [name, tensor] : state) {
      const bool early = first.size() < state.size() / 2;
      (early ? first : second)[name] = tensor;
      map += (map.empty() ? "" : ",") + ("\"" + name + "\":") + (early ? "\"a.st\"" : "\"b.st\"");
    }
    weights("a.st", first);
    weights("b.st", second);
    if (!edit.empty()) map.replace(map.find(edit), edit.size(), instead);
    put(scratch / "model.safetensors.index.json",
        R"({"metadata":{"total_size":1},"weight_map":{)" + map + "}}");
  }
  void refuse(ErrorKind kind, const std::string& phrase) const {
    expect_error(kind, phrase, [&] { zoo::load_network("", path()); });
  }
};

void same(const nn::State& a, const nn::State& b) {
  REQUIRE(a.size() == b.size());
  for (const auto& [name, tensor] : a) {
    CHECK(tensor.to_vector<float>() == b.at(name).to_vector<float>());
  }
}

}  // namespace

TEST_CASE("hub: timm's config names the network, its images and its classes") {
  const Folder hub;
  hub.weights("model.safetensors", hub.state);
  hub.config(R"({"architecture":"resnet_nano","num_classes":10,"num_features":128,
    "label_names":["n1","n2"],"label_descriptions":{"n1":"a coat"},"pretrained_cfg":{"tag":"a1",
    "mean":[0.1],"std":[0.2],"crop_pct":0.9,"interpolation":"bicubic","input_size":[1,28,28],
    "license":"mit","num_classes":10}})");
  const auto loaded = zoo::load_network("", hub.path());
  same(loaded.network->state(), hub.state);
  CHECK(loaded.card.preprocessing.mean == std::vector<double>{0.1});
  CHECK(loaded.card.preprocessing.std == std::vector<double>{0.2});
  CHECK(loaded.card.preprocessing.crop_pct == 0.9);
  CHECK(loaded.card.preprocessing.interpolation == "bicubic");
  CHECK(loaded.card.labels == std::vector<std::string>{"a coat", "n2"});
  CHECK(loaded.card.licence == "mit");
  CHECK(zoo::open_network(hub.path().string()).card.classes == 10);
  expect_error(ErrorKind::kUsage, "holds a resnet_nano, expected a vit_nano_patch4_28",
               [&] { zoo::load_network("vit_nano_patch4_28", hub.path()); });
  // The flat layout of before 2023.
  hub.config(R"({"architecture":"resnet_nano","num_classes":10,"mean":[0.3],"std":[0.4],
    "crop_pct":1.0,"interpolation":"bilinear","input_size":[1,28,28],"labels":["x"]})");
  const auto flat = zoo::load_network("", hub.path());
  CHECK(flat.card.preprocessing.mean == std::vector<double>{0.3});
  CHECK(flat.card.labels == std::vector<std::string>{"x"});
}

TEST_CASE("hub: what a network was built with, beside its name") {
  const Folder hub;
  nn::State headless = hub.state;
  std::erase_if(headless, [](const auto& entry) { return entry.first.starts_with("fc."); });
  REQUIRE(headless.size() + 2 == hub.state.size());
  hub.weights("model.safetensors", headless);
  hub.config(R"({"architecture":"resnet_nano","num_classes":0,"model_args":{"img_size":32,
    "drop_path_rate":0.1},"pretrained_cfg":{"input_size":[1,28,28]}})");
  const auto loaded = zoo::load_network("", hub.path());
  CHECK(loaded.card.classes == 0);
  CHECK(loaded.network->input() == Shape{1, 32, 32});
  CHECK(loaded.network->classes() == loaded.network->feature_at(8).c);  // features, pooled
  same(loaded.network->state(), headless);
  // Its own file says the same, and a classifier can be put on it.
  const auto file = hub.path() / "own.safetensors";
  zoo::save_network(file, *loaded.network, loaded.card);
  CHECK(zoo::load_network("", file).card.classes == 0);
  const auto tuned = zoo::load_network("", file, {.classes = 3});
  CHECK(tuned.network->classes() == 3);
  CHECK(tuned.card.classes == 3);
  // Without the config's word, a classifier is missing.
  hub.config(R"({"architecture":"resnet_nano"})");
  hub.refuse(ErrorKind::kFormat, "2 missing, 0 unexpected");
}

TEST_CASE("hub: shards are one checkpoint") {
  const Folder hub;
  hub.config(R"({"architecture":"resnet_nano"})");
  hub.shards();
  same(zoo::load_network("", hub.path()).network->state(), hub.state);
  const auto index = hub.path() / "model.safetensors.index.json";
  same(zoo::load_network("resnet_nano", index).network->state(), hub.state);
  const std::string before = zoo::sha256_of_weights(hub.path());
  nn::State changed = hub.state;
  changed.begin()->second.fill(9);
  std::erase_if(changed, [&](const auto& entry) {
    return !zoo::read_weights(hub.path() / "a.st").tensors.contains(entry.first);
  });
  hub.weights("a.st", changed);
  CHECK(zoo::sha256_of_weights(hub.path()) != before);
  CHECK(zoo::sha256_of_weights(index) == zoo::sha256_of_weights(hub.path()));
}

TEST_CASE("hostile hub: folders and indices that lie") {
  const Folder hub;
  hub.refuse(ErrorKind::kIo, "a folder without weights");
  hub.weights("model.safetensors", hub.state);
  hub.refuse(ErrorKind::kIo, "config.json: cannot read");
  const auto broken = [&](const std::string& config, const std::string& phrase) {
    hub.config(config);
    hub.refuse(ErrorKind::kFormat, phrase);
  };
  broken("{", "not JSON");
  broken("[]", "field 'architecture' is missing");
  broken(R"({"architecture":7})", "has the wrong type");
  broken(R"({"architecture":"resnet_nano","architecture":"vit"})", "stands twice");
  broken(R"({"architecture":"resnet_nano","num_classes":-1})", "got -1 classes");
  broken(R"({"architecture":"resnet_nano","model_args":{"act_layer":"gelu"}})", "got 'act_layer'");
  broken(R"({"architecture":"resnet_nano","model_args":[]})", "model_args is no object");
  broken(R"({"architecture":"resnet_nano","std":[0]})", "got std 0");
  broken(R"({"architecture":"resnet_nano","mean":[0.1,0.2]})", "2 means and 1 deviations");
  broken(R"({"architecture":"resnet_nano","crop_pct":0})", "got crop_pct 0");
  broken(R"({"architecture":"resnet_nano","pretrained_cfg":[]})", "no object");
  broken(R"({"architecture":"resnet_nano","input_size":[1,28]})", "expected 3");
  hub.config(R"({"architecture":"resnet_nanp"})");
  hub.refuse(ErrorKind::kUsage, "did you mean 'resnet_nano'");

  hub.config(R"({"architecture":"resnet_nano"})");
  std::filesystem::remove(hub.path() / "model.safetensors");
  const std::string first = "\"" + hub.state.begin()->first + "\":\"a.st\"";
  const auto lie = [&](const std::string& instead, const std::string& phrase) {
    hub.shards(first, instead);
    hub.refuse(ErrorKind::kFormat, phrase);
  };
  lie(R"("nobody":"a.st")", "where the index does not have it");
  lie(first + R"(,"zzz":"a.st")", "lacks 1 tensors of the index, 'zzz' first");
  lie(first + "," + first, "stands twice");
  lie(first + R"(,"zzz":"../a.st")", "expected a file beside the index");
  lie(first + R"(,"zzz":"/etc/passwd")", "expected a file beside the index");
  lie(first + R"(,"zzz":"..")", "expected a file beside the index");
  // Found by fuzzing: the line break stood in the message that no such file is there.
  lie(first + R"(,"zzz":"a\nb.st")", "'a?b.st', expected a file beside the index");
  lie(first + R"(,"zzz":7)", "expected a file beside the index");
  lie(first + R"(,"zzz":"model.safetensors.index.json")", "an index itself");
  hub.shards(first, first + R"(,"zzz":"absent")");
  hub.refuse(ErrorKind::kIo, "absent: cannot read");
  put(hub.path() / "model.safetensors.index.json", std::string(R"({"weight_map":{}})"));
  hub.refuse(ErrorKind::kFormat, "weight_map is empty");
}

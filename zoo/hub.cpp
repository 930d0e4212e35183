#include "kintsugi/zoo/hub.h"

#include <array>

#include "kintsugi/zoo/json.h"
#include "kintsugi/zoo/weights/readers.h"
#include "kintsugi/zoo/weights/sha256.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

fs::path weights_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                           "pytorch_model.bin.index.json"}) {
    if (fs::exists(path / name, error)) return path / name;
  }
  fail(ErrorKind::kIo, path.string(),
       ": a folder without weights, expected model.safetensors or pytorch_model.bin in it");
}

std::string sha256_of_weights(const fs::path& path) {
  const fs::path file = weights_file(path);
  const MappedFile mapped(file);
  if (!is_shard_index(mapped.bytes())) return sha256(mapped.bytes());
  std::string digests = sha256(mapped.bytes());
  for (const auto& [shard, names] : shards_of(mapped)) {
    digests += sha256_of_file(file.parent_path() / shard);
  }
  return sha256(std::as_bytes(std::span(digests)));
}

namespace {

// Names of the classes, in words where the config has them beside WordNet's numbers.
std::vector<std::string> labels_in(const Json& config, const std::string& where) {
  std::vector<std::string> labels;
  for (const char* name : {"label_names", "labels"}) {
    if (!config.contains(name) || config.at(name).is_null()) continue;
    labels = get<std::vector<std::string>>(config, name, where);
    break;
  }
  if (config.contains("label_descriptions") && config.at("label_descriptions").is_object()) {
    const Json& words = config.at("label_descriptions");
    for (std::string& label : labels) {
      if (words.contains(label) && words.at(label).is_string()) label = words.at(label);
    }
  }
  return labels;
}

}  // namespace

Card card_of_hub(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const std::string where = path.string();
  const Json config = read_json(path);
  Card card = card_of(find_variant(get<std::string>(config, "architecture", where)));
  // Before timm 0.9 everything stood side by side.
  const bool nested = config.contains("pretrained_cfg");
  const Json& trained = nested ? field(config, "pretrained_cfg", where) : config;
  if (!trained.is_object()) fail(ErrorKind::kFormat, where, ": pretrained_cfg is no object");
  Preprocessing& images = card.preprocessing;
  images.mean = get_or(trained, "mean", where, images.mean);
  images.std = get_or(trained, "std", where, images.std);
  images.crop_pct = get_or(trained, "crop_pct", where, images.crop_pct);
  images.interpolation = get_or(trained, "interpolation", where, images.interpolation);
  if (trained.contains("input_size")) card.input = shape_from(trained, "input_size", 3, where);
  card.licence = get_or<std::string>(trained, "license", where, "");
  const auto classes = get_or(trained, "num_classes", where, card.classes);
  card.classes = get_or(config, "num_classes", where, classes);
  card.labels = labels_in(config, where);
  if (card.labels.empty() && nested) card.labels = labels_in(trained, where);
  if (const auto tag = get_or<std::string>(trained, "tag", where, ""); !tag.empty()) {
    card.facts["tag"] = tag;
  }
  check_card(card, where);
  return card;
}

}  // namespace kintsugi::zoo

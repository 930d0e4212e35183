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

// What a network was built with, beside its name. What would change the network and is not known
// here is refused: the weights would load and mean something else.
void take_model_args(const Json& config, Card& card, const std::string& where) {
  if (!config.contains("model_args") || config.at("model_args").is_null()) return;
  const Json& args = config.at("model_args");
  if (!args.is_object()) fail(ErrorKind::kFormat, where, ": model_args is no object");
  for (const auto& [name, value] : args.items()) {
    const bool only_for_training = name == "drop_rate" || name == "drop_path_rate" ||
                                   name == "attn_drop_rate" || name == "proj_drop_rate" ||
                                   name == "patch_drop_rate" || name == "pos_drop_rate";
    if (only_for_training) continue;
    if (name == "img_size") {
      const Shape size = value.is_array() ? shape_from(args, "img_size", 2, where)
                                          : Shape{get<int64_t>(args, "img_size", where),
                                                  get<int64_t>(args, "img_size", where)};
      card.input[1] = size[0];
      card.input[2] = size[1];
    } else if (name == "in_chans") {
      card.input[0] = get<int64_t>(args, "in_chans", where);
    } else if (name == "num_classes") {
      card.classes = get<int64_t>(args, "num_classes", where);
    } else {
      fail(ErrorKind::kFormat, where, ": model_args: got '", name,
           "', expected img_size, in_chans, num_classes or a drop rate");
    }
  }
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
  take_model_args(config, card, where);
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

#include "kintsugi/zoo/files/plan_file.h"

#include "kintsugi/zoo/files/common.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

namespace {

Json part_json(const PlanFile::Part& part, const fs::path& file) {
  Json json = {
      {"model", part.model}, {"weights", relative_to(file, part.weights)}, {"sha256", part.sha256}};
  if (!part.architecture.empty() && part.architecture != part.model) {
    json["architecture"] = part.architecture;
  }
  if (!part.naming.empty()) json["naming"] = part.naming;
  return json;
}

PlanFile::Part part_from(const Json& json, const std::string& where, const fs::path& file) {
  const auto model = get<std::string>(json, "model", where);
  return {model, get_or(json, "architecture", where, model),
          resolve(file, get_or<std::string>(json, "weights", where, "")),
          get_or<std::string>(json, "sha256", where, ""),
          get_or<std::string>(json, "naming", where, "")};
}

Json end_json(const nn::FeatureShape& shape) {
  return {{"kind", name_of(shape.kind)},
          {"shape", shape_json(shape)},
          {"prefix_tokens", shape.prefix_tokens}};
}

nn::FeatureShape end_from(const Json& json, const std::string& where) {
  return feature_from(json, "shape", get<std::string>(json, "kind", where),
                      get_or<int64_t>(json, "prefix_tokens", where, 0), where);
}

}  // namespace

PlanFile read_plan(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "plan", file);
  PlanFile plan;
  plan.input = shape_from(json, "input", 3, file);
  plan.classes = get<int64_t>(json, "classes", file);
  const Json& stem = field(json, "stem", file);
  if (stem.contains("fresh")) {
    plan.stem.fresh_channels = get<int64_t>(stem, "channels", file + ": stem");
    if (get<std::string>(stem, "fresh", file + ": stem") != "dery" || plan.stem.fresh_channels < 1) {
      fail(ErrorKind::kFormat, file, ": stem: a fresh one is 'dery' with at least one channel");
    }
  } else {
    plan.stem.part = part_from(stem, file + ": stem", path);
  }
  const Json& blocks = field(json, "blocks", file);
  if (!blocks.is_array() || blocks.empty()) fail(ErrorKind::kFormat, file, ": no blocks");
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string where = at(file, "blocks", i);
    PlanFile::Block block;
    static_cast<PlanFile::Part&>(block) = part_from(blocks[i], where, path);
    block.first = get<int64_t>(blocks[i], "first", where);
    block.last = get<int64_t>(blocks[i], "last", where);
    plan.blocks.push_back(std::move(block));
  }
  const Json& stitches = field(json, "stitches", file);
  if (!stitches.is_array() || stitches.size() + 1 != blocks.size()) {
    fail(ErrorKind::kFormat, file, ": got ", stitches.size(), " stitches for ", blocks.size(),
         " blocks");
  }
  for (size_t i = 0; i < stitches.size(); ++i) {
    const std::string where = at(file, "stitches", i);
    plan.stitches.push_back({get<std::string>(stitches[i], "mode", where),
                             get<std::string>(stitches[i], "form", where),
                             end_from(field(stitches[i], "in", where), where + ": in"),
                             end_from(field(stitches[i], "out", where), where + ": out"),
                             get_or<int64_t>(stitches[i], "stride", where, 1)});
  }
  const Json& head = field(json, "head", file);
  if (!head.contains("fresh")) plan.head = part_from(head, file + ": head", path);
  plan.preprocessing.mean = get_or<std::vector<double>>(json, "mean", file, {});
  plan.preprocessing.std = get_or<std::vector<double>>(json, "std", file, {});
  plan.preprocessing.interpolation = get_or<std::string>(json, "interpolation", file, "bilinear");
  plan.preprocessing.crop_pct = get_or<double>(json, "crop_pct", file, 1);
  plan.labels = get_or<std::vector<std::string>>(json, "labels", file, {});
  plan.params = get<int64_t>(json, "params", file);
  plan.macs = get<int64_t>(json, "macs", file);
  if (json.contains("costs")) {
    for (const auto& [name, cost] : field(json, "costs", file).items()) {
      plan.costs.emplace_back(name, get<double>(json.at("costs"), name.c_str(), file + ": costs"));
    }
  }
  plan.objective = get_or<double>(json, "objective", file, 0);
  plan.bound = get_or<double>(json, "bound", file, plan.objective);
  plan.gap = get_or<double>(json, "gap", file, 0);
  plan.weights = resolve(path, get_or<std::string>(json, "weights", file, ""));
  return plan;
}

void write_plan(const fs::path& path, const PlanFile& plan) {
  Json blocks = Json::array(), stitches = Json::array();
  for (const PlanFile::Block& block : plan.blocks) {
    Json part = part_json(block, path);
    part["first"] = block.first;
    part["last"] = block.last;
    blocks.push_back(std::move(part));
  }
  for (const PlanFile::Stitch& stitch : plan.stitches) {
    stitches.push_back({{"mode", stitch.mode},
                        {"form", stitch.form},
                        {"in", end_json(stitch.in)},
                        {"out", end_json(stitch.out)},
                        {"stride", stitch.stride}});
  }
  Json json = {{"format", "kintsugi-plan/1"},
               {"input", to_json(plan.input)},
               {"classes", plan.classes},
               {"stem", plan.stem.part ? part_json(*plan.stem.part, path)
                                       : Json{{"fresh", "dery"},
                                              {"channels", plan.stem.fresh_channels}}},
               {"blocks", blocks},
               {"stitches", stitches},
               {"head", plan.head ? part_json(*plan.head, path) : Json{{"fresh", "linear"}}},
               {"params", plan.params},
               {"macs", plan.macs},
               {"objective", plan.objective},
               {"bound", plan.bound},
               {"gap", plan.gap},
               {"mean", plan.preprocessing.mean},
               {"std", plan.preprocessing.std},
               {"interpolation", plan.preprocessing.interpolation},
               {"crop_pct", plan.preprocessing.crop_pct},
               {"labels", plan.labels}};
  if (!plan.costs.empty()) {
    json["costs"] = Json::object();
    for (const auto& [name, cost] : plan.costs) json["costs"][name] = cost;
  }
  if (!plan.weights.empty()) json["weights"] = relative_to(path, plan.weights);
  write_json(path, json);
}

}  // namespace kintsugi::zoo

#include "kintsugi/zoo/files.h"

#include <cmath>

#include "kintsugi/zoo/json.h"
#include "kintsugi/zoo/weights/atomic_file.h"

namespace kintsugi::zoo {

namespace {

namespace fs = std::filesystem;

std::string at(const std::string& where, const char* name, size_t index) {
  return where + ": " + name + "[" + std::to_string(index) + "]";
}

// Paths in a file are relative to it.
fs::path resolve(const fs::path& file, const std::string& path) {
  if (path.empty()) return {};
  return (file.parent_path() / path).lexically_normal();
}

std::string relative_to(const fs::path& file, const fs::path& path) {
  if (path.empty()) return "";
  const fs::path base = fs::absolute(file).parent_path().lexically_normal();
  const fs::path relative = fs::absolute(path).lexically_normal().lexically_relative(base);
  return (relative.empty() ? fs::absolute(path) : relative).generic_string();
}

void write_json(const fs::path& path, const Json& json) {
  write_file_atomically(path, dump_json(json));
}

Json shape_json(const nn::FeatureShape& shape) { return {shape.c, shape.h, shape.w}; }

nn::FeatureShape feature_from(const Json& object, const char* name, const std::string& kind,
                              int64_t prefix, const std::string& where) {
  const Shape shape = shape_from(object, name, 3, where);
  if (kind == "grid") return nn::FeatureShape::grid(shape[0], shape[1], shape[2]);
  if (kind == "tokens") return nn::FeatureShape::tokens(shape[0], shape[1], shape[2], prefix);
  fail(ErrorKind::kFormat, where, ": got kind '", kind, "', expected 'grid' or 'tokens'");
}

// A network may change from grid to tokens between two nodes, so a node's kind is its output's; an
// input's is said only where it differs.
Json model_json(const DissectedModel& model, const fs::path& file) {
  Json params = Json::array(), macs = Json::array(), kind = Json::array(), in = Json::array(),
       out = Json::array(), in_kind = Json::array(), prefix = Json::array();
  bool any_prefix = false, any_in_kind = false;
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    params.push_back(model.costs[i].params);
    macs.push_back(model.costs[i].macs);
    kind.push_back(name_of(model.out[i].kind));
    in_kind.push_back(name_of(model.in[i].kind));
    in.push_back(shape_json(model.in[i]));
    out.push_back(shape_json(model.out[i]));
    prefix.push_back({model.in[i].prefix_tokens, model.out[i].prefix_tokens});
    any_prefix |= model.in[i].prefix_tokens > 0 || model.out[i].prefix_tokens > 0;
    any_in_kind |= model.in[i].kind != model.out[i].kind;
  }
  Json json = {{"name", model.name}, {"nodes", model.nodes}, {"params", params}, {"macs", macs},
               {"kind", kind},       {"in", in},             {"out", out}};
  if (any_in_kind) json["in_kind"] = in_kind;
  if (any_prefix) json["prefix_tokens"] = prefix;
  if (!model.weights.empty()) json["weights"] = relative_to(file, model.weights);
  if (!model.sha256.empty()) json["sha256"] = model.sha256;
  if (!model.naming.empty()) json["naming"] = model.naming;
  return json;
}

DissectedModel model_from(const Json& json, const std::string& where, const fs::path& file) {
  DissectedModel model;
  model.name = get<std::string>(json, "name", where);
  const std::string here = where + " (" + model.name + ")";
  model.nodes = get<std::vector<std::string>>(json, "nodes", here);
  const auto params = get<std::vector<int64_t>>(json, "params", here);
  const auto macs = get<std::vector<int64_t>>(json, "macs", here);
  const auto kind = get<std::vector<std::string>>(json, "kind", here);
  const auto in_kind = get_or(json, "in_kind", here, kind);
  const Json& in = field(json, "in", here);
  const Json& out = field(json, "out", here);
  const size_t count = model.nodes.size();
  const bool same = params.size() == count && macs.size() == count && kind.size() == count &&
                    in_kind.size() == count && in.is_array() && in.size() == count &&
                    out.is_array() && out.size() == count;
  if (count == 0 || !same) {
    fail(ErrorKind::kFormat, here, ": nodes, params, macs, kind, in and out must have one entry a node");
  }
  const auto prefix = get_or<std::vector<std::array<int64_t, 2>>>(json, "prefix_tokens", here, {});
  if (!prefix.empty() && prefix.size() != count) {
    fail(ErrorKind::kFormat, here, ": prefix_tokens must have one entry a node");
  }
  for (size_t i = 0; i < count; ++i) {
    if (params[i] < 0 || macs[i] < 0) {
      fail(ErrorKind::kFormat, here, ": node ", i + 1, " has a negative cost");
    }
    model.costs.push_back({params[i], macs[i]});
    const Json shapes = {{"in", in[i]}, {"out", out[i]}};
    const std::string node = here + ": node " + std::to_string(i + 1);
    model.in.push_back(
        feature_from(shapes, "in", in_kind[i], prefix.empty() ? 0 : prefix[i][0], node));
    model.out.push_back(
        feature_from(shapes, "out", kind[i], prefix.empty() ? 0 : prefix[i][1], node));
  }
  model.weights = resolve(file, get_or<std::string>(json, "weights", here, ""));
  model.sha256 = get_or<std::string>(json, "sha256", here, "");
  model.naming = get_or<std::string>(json, "naming", here, "");
  return model;
}

std::vector<DissectedModel> models_from(const Json& json, const std::string& where,
                                        const fs::path& file) {
  std::vector<DissectedModel> models;
  const Json& list = field(json, "models", where);
  if (!list.is_array()) fail(ErrorKind::kFormat, where, ": field 'models' is no list");
  for (size_t i = 0; i < list.size(); ++i) {
    models.push_back(model_from(list[i], at(where, "models", i), file));
    for (size_t j = 0; j < i; ++j) {
      if (models[j].name == models[i].name) {
        fail(ErrorKind::kFormat, where, ": model '", models[i].name, "' is there twice");
      }
    }
  }
  return models;
}

Json matrix_json(const solvers::Matrix& matrix) {
  Json rows = Json::array();
  for (size_t r = 0; r < matrix.rows; ++r) {
    const auto row = matrix.row(r);
    Json values = Json::array();
    // Six digits are more than the estimate is worth, and keep the file readable.
    for (const double value : row) values.push_back(std::round(value * 1e6) / 1e6);
    rows.push_back(std::move(values));
  }
  return rows;
}

solvers::Matrix matrix_from(const Json& rows, size_t row_count, size_t col_count,
                            const std::string& where) {
  const auto refuse = [&] {
    fail(ErrorKind::kFormat, where, ": expected ", row_count, " rows of ", col_count, " numbers");
  };
  if (!rows.is_array() || rows.size() != row_count) refuse();
  solvers::Matrix matrix(row_count, col_count);
  for (size_t r = 0; r < row_count; ++r) {
    if (!rows[r].is_array() || rows[r].size() != col_count) refuse();
    for (size_t c = 0; c < col_count; ++c) {
      if (!rows[r][c].is_number()) refuse();
      matrix(r, c) = rows[r][c].get<double>();
    }
  }
  return matrix;
}

Json range_json(const BlockRange& range) {
  return {{"model", range.model}, {"first", range.first}, {"last", range.last}};
}

BlockRange range_from(const Json& json, const std::string& where) {
  return {get<std::string>(json, "model", where), get<int64_t>(json, "first", where),
          get<int64_t>(json, "last", where)};
}

Json partition_to_json(const PartitionFile& partition, const fs::path& file) {
  Json models = Json::array(), sets = Json::array(), stitches = Json::array();
  for (size_t i = 0; i < partition.models.size(); ++i) {
    Json model = model_json(partition.models[i], file);
    model["cuts"] = partition.cuts[i];
    models.push_back(std::move(model));
  }
  for (const PartitionFile::Set& set : partition.sets) {
    Json blocks = Json::array();
    for (size_t b = 0; b < set.blocks.size(); ++b) {
      Json block = range_json(set.blocks[b]);
      block["similarity"] = set.similarity[b];
      blocks.push_back(std::move(block));
    }
    sets.push_back({{"anchor", range_json(set.anchor)}, {"blocks", blocks}});
  }
  for (const solvers::Matrix& matrix : partition.stitches) stitches.push_back(matrix_json(matrix));
  Json json = {{"format", "kintsugi-partition/1"},
               {"k", partition.k},
               {"epsilon", partition.epsilon},
               {"size_bound", partition.size_bound},
               {"objective", partition.objective},
               {"bound", partition.bound},
               {"gap", partition.gap},
               {"seconds", partition.seconds}};
  if (partition.heuristic) {
    json["heuristic"] = {{"objective", partition.heuristic->objective},
                         {"seconds", partition.heuristic->seconds}};
  }
  json["models"] = models;
  json["sets"] = sets;
  json["stitches"] = stitches;
  return json;
}

Json part_json(const PlanFile::Part& part, const fs::path& file) {
  Json json = {
      {"model", part.model}, {"weights", relative_to(file, part.weights)}, {"sha256", part.sha256}};
  if (!part.naming.empty()) json["naming"] = part.naming;
  return json;
}

PlanFile::Part part_from(const Json& json, const std::string& where, const fs::path& file) {
  return {get<std::string>(json, "model", where),
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

ZooFile read_zoo(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "zoo", file);
  ZooFile zoo;
  const Json& list = field(json, "models", file);
  if (!list.is_array()) fail(ErrorKind::kFormat, file, ": field 'models' is no list");
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = at(file, "models", i);
    ZooFile::Model model;
    model.model = get<std::string>(list[i], "model", where);
    model.weights = resolve(path, get<std::string>(list[i], "weights", where));
    model.classes = get_or<int64_t>(list[i], "classes", where, 0);
    model.mean = get_or<std::vector<double>>(list[i], "mean", where, {});
    model.std = get_or<std::vector<double>>(list[i], "std", where, {});
    model.licence = get_or<std::string>(list[i], "licence", where, "");
    zoo.models.push_back(std::move(model));
  }
  return zoo;
}

void write_zoo(const fs::path& path, const ZooFile& zoo) {
  Json models = Json::array();
  for (const ZooFile::Model& model : zoo.models) {
    models.push_back({{"model", model.model},
                      {"weights", relative_to(path, model.weights)},
                      {"classes", model.classes},
                      {"mean", model.mean},
                      {"std", model.std},
                      {"licence", model.licence}});
  }
  write_json(path, {{"format", "kintsugi-zoo/1"}, {"models", models}});
}

SimilarityFile read_similarity(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "similarity", file);
  SimilarityFile out;
  out.metric = get<std::string>(json, "metric", file);
  out.images = get_or<int64_t>(json, "images", file, 0);
  out.models = models_from(json, file, path);
  size_t positions = 0;
  for (const DissectedModel& model : out.models) positions += size_t(model.positions());
  out.similarity = matrix_from(field(json, "similarity", file), positions, positions,
                               file + ": similarity");
  return out;
}

void write_similarity(const fs::path& path, const SimilarityFile& file) {
  Json models = Json::array();
  for (const DissectedModel& model : file.models) models.push_back(model_json(model, path));
  write_json(path, {{"format", "kintsugi-similarity/1"},
                    {"metric", file.metric},
                    {"images", file.images},
                    {"models", models},
                    {"similarity", matrix_json(file.similarity)}});
}

PartitionFile read_partition(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "partition", file);
  PartitionFile out;
  out.k = get<int64_t>(json, "k", file);
  out.epsilon = get<double>(json, "epsilon", file);
  out.size_bound = get_or<std::string>(json, "size_bound", file, "ceil");
  out.objective = get<double>(json, "objective", file);
  out.bound = get_or<double>(json, "bound", file, out.objective);
  out.gap = get_or<double>(json, "gap", file, 0);
  out.seconds = get_or<double>(json, "seconds", file, 0);
  out.models = models_from(json, file, path);
  for (size_t i = 0; i < out.models.size(); ++i) {
    const std::string where = at(file, "models", i);
    const auto cuts = get<std::vector<int64_t>>(field(json, "models", file)[i], "cuts", where);
    int64_t last = 0;
    for (const int64_t cut : cuts) {
      if (cut <= last || cut >= int64_t(out.models[i].nodes.size())) {
        fail(ErrorKind::kFormat, where, ": cuts must rise inside 1..", out.models[i].nodes.size() - 1);
      }
      last = cut;
    }
    if (int64_t(cuts.size()) + 1 != out.k) {
      fail(ErrorKind::kFormat, where, ": got ", cuts.size(), " cuts, expected ", out.k - 1);
    }
    out.cuts.push_back(cuts);
  }
  const Json& sets = field(json, "sets", file);
  if (!sets.is_array() || int64_t(sets.size()) != out.k) {
    fail(ErrorKind::kFormat, file, ": expected ", out.k, " sets");
  }
  const auto checked = [&](const BlockRange& range, const std::string& where) {
    for (const DissectedModel& model : out.models) {
      if (model.name != range.model) continue;
      if (range.first < 1 || range.last < range.first ||
          range.last > int64_t(model.nodes.size())) {
        fail(ErrorKind::kFormat, where, ": nodes ", range.first, "..", range.last, " of ", range.model,
             ", which has ", model.nodes.size());
      }
      return range;
    }
    fail(ErrorKind::kFormat, where, ": no model '", range.model, "' in this file");
  };
  for (size_t s = 0; s < sets.size(); ++s) {
    const std::string where = at(file, "sets", s);
    PartitionFile::Set set;
    set.anchor = checked(range_from(field(sets[s], "anchor", where), where), where);
    const Json& blocks = field(sets[s], "blocks", where);
    if (!blocks.is_array()) fail(ErrorKind::kFormat, where, ": field 'blocks' is no list");
    for (const Json& block : blocks) {
      set.blocks.push_back(checked(range_from(block, where), where));
      set.similarity.push_back(get<double>(block, "similarity", where));
    }
    out.sets.push_back(std::move(set));
  }
  const Json& stitches = field(json, "stitches", file);
  if (!stitches.is_array() || stitches.size() + 1 != sets.size()) {
    fail(ErrorKind::kFormat, file, ": expected ", sets.size() - 1, " tables of stitches");
  }
  for (size_t s = 0; s < stitches.size(); ++s) {
    out.stitches.push_back(matrix_from(stitches[s], out.sets[s].blocks.size(),
                                       out.sets[s + 1].blocks.size(), at(file, "stitches", s)));
  }
  if (json.contains("heuristic")) {
    const Json& heuristic = json.at("heuristic");
    out.heuristic = PartitionFile::Heuristic{get<double>(heuristic, "objective", file),
                                             get<double>(heuristic, "seconds", file)};
  }
  return out;
}

void write_partition(const fs::path& path, const PartitionFile& file) {
  write_json(path, partition_to_json(file, path));
}

std::string partition_json(const PartitionFile& file) {
  return dump_json(partition_to_json(file, fs::current_path() / "partition.json"));
}

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
  if (!plan.weights.empty()) json["weights"] = relative_to(path, plan.weights);
  write_json(path, json);
}

}  // namespace kintsugi::zoo

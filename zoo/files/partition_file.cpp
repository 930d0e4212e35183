#include "kintsugi/zoo/files/partition_file.h"

#include "kintsugi/zoo/files/common.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

namespace {

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

}  // namespace

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

}  // namespace kintsugi::zoo

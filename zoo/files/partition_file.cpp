#include "kintsugi/zoo/files/partition_file.h"

#include <algorithm>
#include <cmath>
#include <map>

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
               {"size", partition.size},
               {"free_sets", partition.free_sets},
               {"objective", partition.objective},
               {"bound", partition.bound},
               {"gap", partition.gap},
               {"seconds", partition.seconds}};
  if (partition.heuristic) {
    json["heuristic"] = {{"objective", partition.heuristic->objective},
                         {"seconds", partition.heuristic->seconds}};
  }
  if (partition.reference) {
    const PartitionFile::Reference& r = *partition.reference;
    json["compat"] = partition.compat;
    json["reference"] = {{"total", r.total},
                         {"best_total", r.best_total},
                         {"cap", r.cap},
                         {"over_size", r.over_size},
                         {"stale_centres", r.stale_centres},
                         {"overlaps", r.overlaps},
                         {"exact", {{"objective", r.exact_objective}, {"seconds", r.exact_seconds}}}};
  }
  json["models"] = models;
  json["sets"] = sets;
  json["stitches"] = stitches;
  return json;
}

}  // namespace

namespace {

std::vector<int64_t> cuts_from(const Json& json, const DissectedModel& model, int64_t k,
                               const std::string& where) {
  auto cuts = get<std::vector<int64_t>>(json, "cuts", where);
  int64_t last = 0;
  for (const int64_t cut : cuts) {
    if (cut <= last || cut >= int64_t(model.nodes.size())) {
      fail(ErrorKind::kFormat, where, ": cuts must rise inside 1..", model.nodes.size() - 1);
    }
    last = cut;
  }
  if (int64_t(cuts.size()) >= k) {
    fail(ErrorKind::kFormat, where, ": got ", cuts.size(), " cuts, expected at most ", k - 1);
  }
  return cuts;
}

std::string to_string(const BlockRange& range) {
  return range.model + " " + std::to_string(range.first) + ".." + std::to_string(range.last);
}

PartitionFile::Set set_from(const Json& json, const std::string& where) {
  PartitionFile::Set set;
  set.anchor = range_from(field(json, "anchor", where), where);
  const Json& blocks = field(json, "blocks", where);
  if (!blocks.is_array()) fail(ErrorKind::kFormat, where, ": field 'blocks' is no list");
  if (blocks.empty()) fail(ErrorKind::kFormat, where, " has no blocks");
  for (const Json& block : blocks) {
    set.blocks.push_back(range_from(block, where));
    const double similarity = get<double>(block, "similarity", where);
    if (!(std::abs(similarity) <= 2 + 1e-6)) {
      fail(ErrorKind::kFormat, where, ": the similarity of ", to_string(set.blocks.back()), " is ",
           similarity, ", expected a number in [-2, 2]");
    }
    set.similarity.push_back(similarity);
  }
  if (std::find(set.blocks.begin(), set.blocks.end(), set.anchor) == set.blocks.end()) {
    fail(ErrorKind::kFormat, where, ": the anchor ", to_string(set.anchor),
         " is none of the set's blocks");
  }
  return set;
}

// All that holds of the reference's: its sets may hold a block that its cuts do not make.
void check_ranges(const PartitionFile& partition, const std::string& file) {
  for (size_t k = 0; k < partition.sets.size(); ++k) {
    for (const BlockRange& range : partition.sets[k].blocks) {
      const auto model =
          std::find_if(partition.models.begin(), partition.models.end(),
                       [&](const DissectedModel& m) { return m.name == range.model; });
      if (model == partition.models.end() || range.first < 1 || range.last < range.first ||
          range.last > int64_t(model->nodes.size())) {
        fail(ErrorKind::kFormat, at(file, "sets", k), ": ", to_string(range),
             " is no block of a model of this file");
      }
    }
  }
}

// The sets hold the blocks that the cuts make, each once.
void check_sets(const PartitionFile& partition, const std::string& file) {
  std::map<std::string, size_t> index;
  for (size_t m = 0; m < partition.models.size(); ++m) index[partition.models[m].name] = m;
  std::vector<std::vector<int64_t>> set_of;  // [model][block]
  for (const auto& cuts : partition.cuts) set_of.emplace_back(cuts.size() + 1, -1);
  for (size_t k = 0; k < partition.sets.size(); ++k) {
    const std::string where = at(file, "sets", k);
    for (const BlockRange& range : partition.sets[k].blocks) {
      const auto found = index.find(range.model);
      if (found == index.end()) {
        fail(ErrorKind::kFormat, where, ": no model '", range.model, "' in this file");
      }
      const auto& cuts = partition.cuts[found->second];
      const auto b = size_t(std::lower_bound(cuts.begin(), cuts.end(), range.last) - cuts.begin());
      const int64_t first = b == 0 ? 1 : cuts[b - 1] + 1;
      const int64_t last = b < cuts.size()
                               ? cuts[b]
                               : int64_t(partition.models[found->second].nodes.size());
      if (range.first != first || range.last != last) {
        fail(ErrorKind::kFormat, where, ": ", to_string(range), " is no block of its cuts, which have ",
             first, "..", last, " there");
      }
      int64_t& set = set_of[found->second][b];
      if (set >= 0) {
        fail(ErrorKind::kFormat, where, ": ", to_string(range), " is in set ", set + 1, " too");
      }
      set = int64_t(k);
    }
  }
  for (size_t m = 0; m < set_of.size(); ++m) {
    for (size_t b = 0; b < set_of[m].size(); ++b) {
      const std::string where = at(file, "models", m) + " (" + partition.models[m].name + ")";
      if (set_of[m][b] < 0) fail(ErrorKind::kFormat, where, ": block ", b + 1, " is in no set");
      if (!partition.free_sets && b > 0 && set_of[m][b] <= set_of[m][b - 1]) {
        fail(ErrorKind::kFormat, where, ": block ", b + 1, " is in set ", set_of[m][b] + 1,
             ", block ", b, " in set ", set_of[m][b - 1] + 1, "; expected rising sets");
      }
    }
  }
}

void check_objective(const PartitionFile& partition, const std::string& file) {
  double sum = 0;
  for (const PartitionFile::Set& set : partition.sets) {
    for (const double s : set.similarity) sum += s;
  }
  // Somebody else's file may have rounded similarities.
  const double slack = 1e-3 * std::max(1.0, std::abs(sum));
  if (!(std::abs(sum - partition.objective) <= slack)) {
    fail(ErrorKind::kFormat, file, ": the objective is ", partition.objective,
         ", but the blocks' similarities to their anchors sum to ", sum);
  }
  if (!(partition.bound >= partition.objective - slack)) {
    fail(ErrorKind::kFormat, file, ": the bound ", partition.bound, " is below the objective ",
         partition.objective);
  }
}

}  // namespace

PartitionFile read_partition(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "partition", file);
  PartitionFile out;
  out.k = get<int64_t>(json, "k", file);
  if (out.k < 1) fail(ErrorKind::kFormat, file, ": k is ", out.k, ", expected at least 1");
  out.epsilon = get<double>(json, "epsilon", file);
  if (!(out.epsilon >= 0)) {
    fail(ErrorKind::kFormat, file, ": epsilon is ", out.epsilon, ", expected 0 or more");
  }
  out.size_bound = get_or<std::string>(json, "size_bound", file, "ceil");
  out.size = get_or<std::string>(json, "size", file, "nodes");
  out.free_sets = get_or<bool>(json, "free_sets", file, false);
  out.objective = get<double>(json, "objective", file);
  out.bound = get_or<double>(json, "bound", file, out.objective);
  out.gap = get_or<double>(json, "gap", file, 0);
  out.seconds = get_or<double>(json, "seconds", file, 0);
  out.models = models_from(json, file, path);
  if (out.models.empty()) fail(ErrorKind::kFormat, file, " has no models");
  for (size_t i = 0; i < out.models.size(); ++i) {
    out.cuts.push_back(cuts_from(field(json, "models", file)[i], out.models[i], out.k,
                                 at(file, "models", i) + " (" + out.models[i].name + ")"));
  }
  const Json& sets = field(json, "sets", file);
  if (!sets.is_array() || int64_t(sets.size()) != out.k) {
    fail(ErrorKind::kFormat, file, ": expected ", out.k, " sets");
  }
  for (size_t s = 0; s < sets.size(); ++s) {
    out.sets.push_back(set_from(sets[s], at(file, "sets", s)));
  }
  out.compat = get_or<std::string>(json, "compat", file, "");
  if (out.compat == "dery") {
    check_ranges(out, file);
    const Json& r = field(json, "reference", file);
    const Json& exact = field(r, "exact", file);
    out.bound = std::numeric_limits<double>::infinity();
    out.gap = out.bound;
    out.reference = PartitionFile::Reference{
        get<double>(r, "total", file),          get<double>(r, "best_total", file),
        get<int64_t>(r, "cap", file),           get<int64_t>(r, "over_size", file),
        get<int64_t>(r, "stale_centres", file), get<int64_t>(r, "overlaps", file),
        get<double>(exact, "objective", file),  get<double>(exact, "seconds", file)};
  } else {
    check_sets(out, file);
    check_objective(out, file);
  }
  const Json& stitches = field(json, "stitches", file);
  if (!stitches.is_array() || stitches.size() + 1 != sets.size()) {
    fail(ErrorKind::kFormat, file, ": expected ", sets.size() - 1, " tables of stitches");
  }
  for (size_t s = 0; s < stitches.size(); ++s) {
    const std::string where = at(file, "stitches", s);
    out.stitches.push_back(matrix_from(stitches[s], out.sets[s].blocks.size(),
                                       out.sets[s + 1].blocks.size(), where));
    for (const double score : out.stitches.back().values) {
      if (!(std::abs(score) <= 1 + 1e-6)) {
        fail(ErrorKind::kFormat, where, ": a score is ", score, ", expected a number in [-1, 1]");
      }
    }
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

#include "kintsugi/zoo/files/common.h"

#include <cmath>

#include "kintsugi/zoo/weights/atomic_file.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

std::string at(const std::string& where, const char* name, size_t index) {
  return where + ": " + name + "[" + std::to_string(index) + "]";
}

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
  if (!model.architecture.empty() && model.architecture != model.name) {
    json["architecture"] = model.architecture;
  }
  if (any_in_kind) json["in_kind"] = in_kind;
  if (any_prefix) json["prefix_tokens"] = prefix;
  if (!model.weights.empty()) json["weights"] = relative_to(file, model.weights);
  if (!model.sha256.empty()) json["sha256"] = model.sha256;
  if (!model.naming.empty()) json["naming"] = model.naming;
  if (!model.licence.empty()) json["licence"] = model.licence;
  return json;
}

namespace {

DissectedModel model_from(const Json& json, const std::string& where, const fs::path& file) {
  DissectedModel model;
  model.name = get<std::string>(json, "name", where);
  model.architecture = get_or(json, "architecture", where, model.name);
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
  model.licence = get_or<std::string>(json, "licence", here, "");
  return model;
}

}  // namespace

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

}  // namespace kintsugi::zoo

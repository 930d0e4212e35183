#include "kintsugi/zoo/files/latency_file.h"

#include <cmath>

#include "kintsugi/zoo/files/common.h"

namespace kintsugi::zoo {

namespace {

double milliseconds(const Json& json, const char* name, const std::string& where) {
  const double value = get<double>(json, name, where);
  if (!(value >= 0) || std::isinf(value)) {
    fail(ErrorKind::kFormat, where, ": field '", name, "' is ", value, ", expected 0 or more");
  }
  return value;
}

const Json& list(const Json& json, const char* name, const std::string& where) {
  const Json& found = field(json, name, where);
  if (!found.is_array()) fail(ErrorKind::kFormat, where, ": field '", name, "' is no list");
  return found;
}

Json parts_json(const std::vector<LatencyFile::Part>& parts, bool blocks) {
  Json out = Json::array();
  for (const LatencyFile::Part& part : parts) {
    Json json = {{"model", part.model}};
    if (blocks) {
      json["first"] = part.first;
      json["last"] = part.last;
    }
    json["prefix"] = part.home;
    json["ms"] = part.ms;
    out.push_back(std::move(json));
  }
  return out;
}

std::vector<LatencyFile::Part> parts_from(const Json& json, const char* name,
                                          const std::string& where) {
  std::vector<LatencyFile::Part> out;
  const Json& items = list(json, name, where);
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string here = at(where, name, i);
    out.push_back(
        {get<std::string>(items[i], "model", here), get_or<int64_t>(items[i], "first", here, 0),
         get_or<int64_t>(items[i], "last", here, 0), get_or<bool>(items[i], "prefix", here, false),
         milliseconds(items[i], "ms", here)});
  }
  return out;
}

Json end_json(const nn::FeatureShape& shape) {
  return {{"kind", name_of(shape.kind)},
          {"shape", shape_json(shape)},
          {"prefix_tokens", shape.prefix_tokens}};
}

nn::FeatureShape end_from(const Json& json, const char* name, const std::string& where) {
  const Json& end = field(json, name, where);
  const std::string here = where + ": " + name;
  return feature_from(end, "shape", get<std::string>(end, "kind", here),
                      get_or<int64_t>(end, "prefix_tokens", here, 0), here);
}

Json joints_json(const std::vector<LatencyFile::Joint>& joints) {
  Json out = Json::array();
  for (const LatencyFile::Joint& joint : joints) {
    out.push_back({{"in", end_json(joint.in)}, {"out", end_json(joint.out)}, {"ms", joint.ms}});
  }
  return out;
}

std::vector<LatencyFile::Joint> joints_from(const Json& json, const char* name,
                                            const std::string& where) {
  std::vector<LatencyFile::Joint> out;
  const Json& items = list(json, name, where);
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string here = at(where, name, i);
    out.push_back({end_from(items[i], "in", here), end_from(items[i], "out", here),
                   milliseconds(items[i], "ms", here)});
  }
  return out;
}

Json assemblies_json(const std::vector<LatencyFile::Assembly>& assemblies) {
  Json out = Json::array();
  for (const LatencyFile::Assembly& a : assemblies) out.push_back({a.predicted_ms, a.measured_ms});
  return out;
}

std::vector<LatencyFile::Assembly> assemblies_from(const Json& json, const char* name,
                                                   const std::string& where) {
  std::vector<LatencyFile::Assembly> out;
  for (const auto& pair : get_or<std::vector<std::array<double, 2>>>(json, name, where, {})) {
    out.push_back({pair[0], pair[1]});
  }
  return out;
}

}  // namespace

LatencyFile read_latency(const std::filesystem::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "latency", file);
  LatencyFile out;
  out.machine = get_or<std::string>(json, "machine", file, "");
  out.threads = get_or<int64_t>(json, "threads", file, 0);
  out.batch_size = get_or<int64_t>(json, "batch_size", file, 1);
  out.form = get<std::string>(json, "stitch", file);
  out.stems = parts_from(json, "stems", file);
  out.blocks = parts_from(json, "blocks", file);
  out.heads = parts_from(json, "heads", file);
  out.stitches = joints_from(json, "stitches", file);
  out.fresh_heads = joints_from(json, "fresh_heads", file);
  out.factor = milliseconds(json, "factor", file);
  out.constant_ms = milliseconds(json, "constant_ms", file);
  out.fitted = assemblies_from(json, "fitted", file);
  out.checked = assemblies_from(json, "checked", file);
  out.median_error = get_or<double>(json, "median_error", file, 0);
  out.max_error = get_or<double>(json, "max_error", file, 0);
  return out;
}

void write_latency(const std::filesystem::path& path, const LatencyFile& file) {
  write_json(path, {{"format", "kintsugi-latency/1"},
                    {"machine", file.machine},
                    {"threads", file.threads},
                    {"batch_size", file.batch_size},
                    {"stitch", file.form},
                    {"factor", file.factor},
                    {"constant_ms", file.constant_ms},
                    {"median_error", file.median_error},
                    {"max_error", file.max_error},
                    {"fitted", assemblies_json(file.fitted)},
                    {"checked", assemblies_json(file.checked)},
                    {"stems", parts_json(file.stems, false)},
                    {"blocks", parts_json(file.blocks, true)},
                    {"heads", parts_json(file.heads, false)},
                    {"stitches", joints_json(file.stitches)},
                    {"fresh_heads", joints_json(file.fresh_heads)}});
}

}  // namespace kintsugi::zoo

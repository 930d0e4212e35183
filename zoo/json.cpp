#include "kintsugi/zoo/json.h"

#include <fstream>
#include <sstream>

namespace kintsugi::zoo {

namespace {

// Nesting past this is no file of ours, and would recurse.
constexpr int kMaxDepth = 32;

bool is_flat(const Json& json) {
  for (const Json& item : json) {
    if (item.is_structured()) return false;
  }
  return true;
}

void write(const Json& json, int indent, std::string& out) {
  const std::string pad(size_t(indent) + 2, ' ');
  if (!json.is_structured() || json.empty() || (json.is_array() && is_flat(json))) {
    out += json.dump();
    return;
  }
  out += json.is_array() ? "[\n" : "{\n";
  bool first = true;
  for (auto item = json.begin(); item != json.end(); ++item) {
    if (!first) out += ",\n";
    first = false;
    out += pad;
    if (json.is_object()) out += Json(item.key()).dump() + ": ";
    write(*item, indent + 2, out);
  }
  out += "\n" + std::string(size_t(indent), ' ') + (json.is_array() ? "]" : "}");
}

}  // namespace

Json parse_json(const std::string& text, const std::string& what) {
  try {
    return Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > kMaxDepth) fail(ErrorKind::kFormat, what, ": JSON nested deeper than ", kMaxDepth);
      return true;
    });
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::kFormat, what, ": not JSON (byte ", error.byte, ")");
  }
}

Json read_json(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) {
    fail(ErrorKind::kIo, path.string(), ": no such file");
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) fail(ErrorKind::kIo, path.string(), ": cannot be read");
  return parse_json(text.str(), path.string());
}

std::string dump_json(const Json& json) {
  std::string out;
  write(json, 0, out);
  return out + "\n";
}

void check_format(const Json& json, const std::string& kind, const std::string& file) {
  if (!json.is_object()) fail(ErrorKind::kFormat, file, ": got no JSON object");
  const std::string got = get<std::string>(json, "format", file);
  const std::string want = "kintsugi-" + kind + "/1";
  if (got != want && !got.starts_with(want + ".")) {
    fail(ErrorKind::kFormat, file, ": got format '", got, "', expected '", want, "'");
  }
}

const Json& field(const Json& object, const char* name, const std::string& where) {
  if (!object.is_object() || !object.contains(name)) {
    fail(ErrorKind::kFormat, where, ": field '", name, "' is missing");
  }
  return object.at(name);
}

Json to_json(const Shape& shape) {
  Json json = Json::array();
  for (const int64_t extent : shape) json.push_back(extent);
  return json;
}

Shape shape_from(const Json& object, const char* name, int rank, const std::string& where) {
  const auto values = get<std::vector<int64_t>>(object, name, where);
  for (const int64_t value : values) {
    if (value < 1) fail(ErrorKind::kFormat, where, ": field '", name, "' has the extent ", value);
  }
  if (int(values.size()) != rank) {
    fail(ErrorKind::kFormat, where, ": field '", name, "' has ", values.size(),
         " numbers, expected ", rank);
  }
  return Shape(std::span<const int64_t>(values));
}

}  // namespace kintsugi::zoo

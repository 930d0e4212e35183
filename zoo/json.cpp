#include "kintsugi/zoo/json.h"

#include <unordered_set>

#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

namespace {

// Builds the document itself, so that depth and doubled names are refused as they are met: the
// library's own builder keeps the last of two values and takes any depth. It also looks for a name
// in a whole object before it adds one; a set of the names seen keeps that linear.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(int most_depth, const std::string& what) : most_depth_(most_depth), what_(what) {}

  Json root;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(int64_t value) override { return put(value); }
  bool number_unsigned(uint64_t value) override { return put(value); }
  bool number_float(double value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    if (!open_.back().names.insert(name).second) {
      fail(ErrorKind::kFormat, what_, ": the name '", printable(name), "' stands twice");
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    fail(ErrorKind::kFormat, what_, ": not JSON at byte ", position);
  }

 private:
  struct Open {
    Json* container;  // its address holds still while it is the innermost
    std::unordered_set<std::string> names;
  };

  template <class Value>
  bool put(Value&& value) {
    add(std::forward<Value>(value));
    return true;
  }
  template <class Value>
  Json* add(Value&& value) {
    if (open_.empty()) return &(root = std::forward<Value>(value));
    Json& parent = *open_.back().container;
    if (parent.is_array()) {
      auto& items = parent.get_ref<Json::array_t&>();
      return &items.emplace_back(std::forward<Value>(value));
    }
    std::vector<Json::object_t::value_type>& members = parent.get_ref<Json::object_t&>();
    return &members.emplace_back(std::move(key_), Json(std::forward<Value>(value))).second;
  }
  bool open(Json container) {
    if (int(open_.size()) == most_depth_) {
      fail(ErrorKind::kFormat, what_, ": nested deeper than ", most_depth_);
    }
    open_.push_back({add(std::move(container)), {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const int most_depth_;
  const std::string& what_;
  std::vector<Open> open_;
  std::string key_;
};

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

Json parse_json(std::string_view text, const std::string& what, int most_depth) {
  Builder builder(most_depth, what);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    fail(ErrorKind::kFormat, what, ": not JSON");
  }
  return std::move(builder.root);
}

Json read_json(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
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

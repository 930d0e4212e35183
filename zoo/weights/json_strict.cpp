#include "kintsugi/zoo/weights/json_strict.h"

#include <nlohmann/json.hpp>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::zoo {

namespace {

using Json = nlohmann::json;

// Builds the document itself, so that depth and doubled names are refused as they are met: the
// library's own builder keeps the last of two values and takes any depth.
class StrictBuilder : public nlohmann::json_sax<Json> {
 public:
  StrictBuilder(int most_depth, const std::string& what) : most_depth_(most_depth), what_(what) {}

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
    if (open_.back()->contains(name)) {
      fail(ErrorKind::kFormat, what_, ": the name '", printable(name), "' stands twice");
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    fail(ErrorKind::kFormat, what_, ": not JSON at byte ", position);
  }

 private:
  template <class Value>
  bool put(Value&& value) {
    add(std::forward<Value>(value));
    return true;
  }
  Json* add(Json value) {
    if (open_.empty()) return &(root = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }
  bool open(Json container) {
    if (int(open_.size()) == most_depth_) {
      fail(ErrorKind::kFormat, what_, ": nested deeper than ", most_depth_);
    }
    open_.push_back(add(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const int most_depth_;
  const std::string& what_;
  std::vector<Json*> open_;  // a container's address holds still while it is the innermost
  std::string key_;
};

}  // namespace

Json parse_json_strictly(std::string_view text, int most_depth, const std::string& what) {
  StrictBuilder builder(most_depth, what);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    fail(ErrorKind::kFormat, what, ": not JSON");
  }
  return std::move(builder.root);
}

std::string printable(std::string_view text) {
  constexpr size_t kMost = 200;
  const bool cut = text.size() > kMost;
  std::string out(text.substr(0, kMost));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  // Cutting may have left half a character: nlohmann's replacing dump mends broken UTF-8.
  out = Json(out).dump(-1, ' ', false, Json::error_handler_t::ignore);
  out = out.substr(1, out.size() - 2);
  return cut ? out + "..." : out;
}

}  // namespace kintsugi::zoo

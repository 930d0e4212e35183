// JSON from files that nobody vouches for, with errors that name the file and the field. Internal
// to the room; not installed (nlohmann's header stays out of public ones).
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/shape.h"

namespace kintsugi::zoo {

using Json = nlohmann::ordered_json;

// A whole file. Error kIo, or kFormat, beginning with `what`, for anything but JSON, for containers
// nested deeper than `most_depth`, and for an object that has a name twice.
Json read_json(const std::filesystem::path& path);
Json parse_json(std::string_view text, const std::string& what, int most_depth = 32);
// Two spaces of indent, but arrays of numbers on one line.
std::string dump_json(const Json& json);

// Checks "format": "kintsugi-<kind>/1".
void check_format(const Json& json, const std::string& kind, const std::string& file);

// A field of an object. `where` begins the error ("zoo.json: models[0]").
const Json& field(const Json& object, const char* name, const std::string& where);

template <class T>
T get(const Json& object, const char* name, const std::string& where) {
  const Json& value = field(object, name, where);
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::kFormat, where, ": field '", name, "' has the wrong type: ", value.type_name());
  }
}

template <class T>
T get_or(const Json& object, const char* name, const std::string& where, T otherwise) {
  return object.contains(name) && !object.at(name).is_null() ? get<T>(object, name, where)
                                                             : otherwise;
}

Json to_json(const Shape& shape);
Shape shape_from(const Json& object, const char* name, int rank, const std::string& where);

}  // namespace kintsugi::zoo

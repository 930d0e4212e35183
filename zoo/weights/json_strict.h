// JSON from files that nobody vouches for. Not installed: nlohmann's header stays inside.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace kintsugi::zoo {

// Parses one document. Error kFormat, beginning with `what`, for anything but JSON, for containers
// nested deeper than `most_depth`, and for an object that has a name twice.
nlohmann::json parse_json_strictly(std::string_view text, int most_depth, const std::string& what);

// For messages: at most 200 bytes, with control characters and broken UTF-8 as '?'.
std::string printable(std::string_view text);

}  // namespace kintsugi::zoo

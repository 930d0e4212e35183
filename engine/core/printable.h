// A stranger's words inside a message.
#pragma once

#include <string>
#include <string_view>

namespace kintsugi {

// At most 200 bytes, with control characters and broken UTF-8 as '?'.
std::string printable(std::string_view text);

}  // namespace kintsugi

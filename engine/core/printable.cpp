#include "kintsugi/engine/core/printable.h"

#include <bit>
#include <cstdint>

namespace kintsugi {

namespace {

// The length of the UTF-8 sequence at the beginning; 0 where there is none.
size_t sequence(std::string_view text) {
  const auto first = uint8_t(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f;
  const auto length = size_t(std::countl_one(first));
  if (length < 2 || length > 4 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((uint8_t(text[i]) & 0xc0) != 0x80) return 0;
  }
  // U+0080 to U+009F are control characters too.
  return first == 0xc2 && uint8_t(text[1]) < 0xa0 ? 0 : length;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr size_t kMost = 200;
  std::string out;
  while (!text.empty()) {
    const size_t length = sequence(text);
    if (out.size() + std::max<size_t>(length, 1) > kMost) return out + "...";
    if (length > 0) {
      out += text.substr(0, length);
    } else {
      out += '?';
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace kintsugi

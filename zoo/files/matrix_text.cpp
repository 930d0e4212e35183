#include "kintsugi/zoo/files/matrix_text.h"

#include <charconv>
#include <cmath>
#include <cstdint>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"

namespace kintsugi::zoo {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// A place in the text; past its end stands a 0.
struct Cursor {
  const char* at;
  const char* end;

  char peek() const { return at < end ? *at : '\0'; }
  char skip_space() {
    while (at < end && is_space(*at)) ++at;
    return peek();
  }
  bool take(char c) {
    if (skip_space() != c) return false;
    ++at;
    return true;
  }
  // Behind a string whose opening quote has been taken.
  bool skip_string() {
    for (; at < end && *at != '"'; ++at) {
      if (*at == '\\') ++at;
    }
    return at++ < end;
  }
  // Behind a value of any kind; brackets are only counted.
  bool skip_value() {
    int64_t depth = 0;
    skip_space();
    while (at < end) {
      const char c = *at;
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) return true;
      ++at;
      if (c == '"') {
        if (!skip_string()) return false;
      } else if (c == '[' || c == '{') {
        ++depth;
      } else if (c == ']' || c == '}') {
        --depth;
      }
    }
    return false;
  }
};

// A JSON number. Up to 15 digits it is one exact whole number over an exact power of ten, so that
// one division rounds it rightly (Clinger 1990).
bool parse_number(Cursor& cursor, double& value) {
  static constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const char* const begin = cursor.at;
  const char* at = begin;
  const char* const end = cursor.end;
  const bool negative = at < end && *at == '-';
  at += negative;
  if (at == end || !is_digit(*at)) return false;
  uint64_t digits = 0;
  const char* const first = at;
  for (; at < end && is_digit(*at); ++at) digits = digits * 10 + uint64_t(*at - '0');
  if (*first == '0' && at - first > 1) return false;
  ptrdiff_t count = at - first, fraction = 0;
  if (at < end && *at == '.') {
    const char* const point = at++;
    for (; at < end && is_digit(*at); ++at) digits = digits * 10 + uint64_t(*at - '0');
    fraction = at - point - 1;
    if (fraction == 0) return false;
  }
  const bool exponent = at < end && (*at == 'e' || *at == 'E');
  if (count + fraction <= 15 && !exponent) {
    value = double(digits) / kPowers[fraction];
    if (negative) value = -value;
    cursor.at = at;
    return true;
  }
  const auto [stop, code] = std::from_chars(begin, end, value);
  cursor.at = stop;
  return code == std::errc() && std::isfinite(value);
}

void append(std::string& out, double value) {
  char buffer[32];
  const double scaled = std::round(value * 1e6);
  if (!(std::abs(scaled) < 1e15)) {
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
    return;
  }
  auto whole = uint64_t(std::abs(scaled));
  if (scaled < 0) out += '-';
  char* end = std::to_chars(buffer, buffer + sizeof buffer, whole / 1'000'000).ptr;
  *end++ = '.';
  whole %= 1'000'000;
  for (uint64_t unit = 100'000; unit > 0; unit /= 10) *end++ = char('0' + whole / unit % 10);
  while (end[-1] == '0' && end[-2] != '.') --end;
  out.append(buffer, end);
}

}  // namespace

std::string matrix_text(const solvers::Matrix& matrix, const std::string& indent) {
  std::string out = "[";
  out.reserve(matrix.values.size() * 9 + matrix.rows * (indent.size() + 8));
  for (size_t r = 0; r < matrix.rows; ++r) {
    out += (r == 0 ? "\n" : ",\n") + indent + "  [";
    for (size_t c = 0; c < matrix.cols; ++c) {
      if (c > 0) out += ',';
      append(out, matrix(r, c));
    }
    out += ']';
  }
  out += "\n" + indent + "]";
  return out;
}

size_t find_value(std::string_view json, std::string_view name) {
  Cursor cursor{json.data(), json.data() + json.size()};
  if (!cursor.take('{')) return std::string_view::npos;
  while (cursor.take('"')) {
    const char* const key = cursor.at;
    if (!cursor.skip_string()) break;
    const std::string_view text(key, size_t(cursor.at - key) - 1);
    if (!cursor.take(':')) break;
    cursor.skip_space();
    if (text == name) return size_t(cursor.at - json.data());
    if (!cursor.skip_value() || !cursor.take(',')) break;
  }
  return std::string_view::npos;
}

solvers::Matrix parse_matrix(std::string_view json, size_t& from, const std::string& where) {
  Cursor cursor{json.data() + from, json.data() + json.size()};
  solvers::Matrix out;
  const auto refuse = [&] {
    const std::string_view rest(cursor.at, size_t(cursor.end - cursor.at));
    const size_t length = std::min(rest.find_first_of(",]}\n"), size_t{12});
    return printable(rest.substr(0, length));
  };
  if (!cursor.take('[')) fail(ErrorKind::kFormat, where, ": got ", refuse(), ", expected rows");
  if (!cursor.take(']')) {
    do {
      if (!cursor.take('[')) {
        fail(ErrorKind::kFormat, where, "[", out.rows, "]: got ", refuse(), ", expected a row");
      }
      size_t cols = 0;
      if (!cursor.take(']')) {
        do {
          cursor.skip_space();
          double value = 0;
          const char* const begin = cursor.at;
          if (!parse_number(cursor, value)) {
            cursor.at = begin;
            fail(ErrorKind::kFormat, where, "[", out.rows, "][", cols, "]: got ", refuse(),
                 ", expected a finite number");
          }
          out.values.push_back(value);
          ++cols;
        } while (cursor.take(','));
        if (!cursor.take(']')) {
          fail(ErrorKind::kFormat, where, "[", out.rows, "]: got ", refuse(), " after ", cols,
               " numbers, expected , or ]");
        }
      }
      if (out.rows == 0) {
        out.cols = cols;
        // A square one, if the text is long enough for that.
        const size_t left = size_t(cursor.end - cursor.at) / 2;
        out.values.reserve(std::min(cols * cols, cols + left));
      }
      if (cols != out.cols) {
        fail(ErrorKind::kFormat, where, "[", out.rows, "]: got ", cols, " numbers, expected ",
             out.cols, " as in the first row");
      }
      ++out.rows;
    } while (cursor.take(','));
    if (!cursor.take(']')) {
      fail(ErrorKind::kFormat, where, ": got ", refuse(), " after ", out.rows,
           " rows, expected , or ]");
    }
  }
  from = size_t(cursor.at - json.data());
  return out;
}

}  // namespace kintsugi::zoo

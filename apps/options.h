// The words of a command line. One record per option feeds parsing, its errors and --help.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kintsugi::apps {

struct Option {
  // The variable's type is the option's, its value the default. A bool is a flag; whole numbers
  // may end in k, M or G; a list takes all words that follow.
  using Target = std::variant<bool*, int64_t*, double*, std::string*, std::optional<int64_t>*,
                              std::optional<double>*, std::vector<std::string>*>;

  std::string name;  // "--epochs", "-k"; without dashes the positional argument of that name
  Target target;
  std::string help;
  std::string group = "Options";
  bool required = false;
  double min = -std::numeric_limits<double>::infinity();  // of numbers
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // of strings; empty: any
};

inline Option required(Option option) {
  option.required = true;
  return option;
}

struct CommandLine {
  std::string command;  // "kintsugi train"
  std::string summary;  // one sentence
  std::vector<Option> options;
};

// Fills the targets from the arguments. Returns the text of --help where that was asked for, ""
// else. Error kUsage: an unknown option (with the nearest right name), a value that does not fit, a
// required option that is missing.
std::string parse(const CommandLine& line, const std::vector<std::string>& arguments);

}  // namespace kintsugi::apps

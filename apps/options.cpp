#include "kintsugi/apps/options.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <sstream>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::apps {

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string plain(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

std::string expected_number(const Option& option, const char* what) {
  std::string text = std::string("expected ") + what;
  if (std::isfinite(option.min)) text += " of at least " + plain(option.min);
  if (std::isfinite(option.max)) text += std::isfinite(option.min) ? " and" : "";
  if (std::isfinite(option.max)) text += " at most " + plain(option.max);
  return text;
}

double parse_number(const Option& option, const std::string& word, bool whole) {
  const std::string expected = expected_number(option, whole ? "a whole number" : "a number");
  const auto refuse = [&] {
    fail(ErrorKind::kUsage, option.name, ": got '", word, "', ", expected);
  };
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(word, &used);
  } catch (const std::exception&) {
    refuse();
  }
  if (whole && used + 1 == word.size()) {
    const size_t suffix = std::string("kMG").find(word[used]);
    if (suffix != std::string::npos) {
      value *= std::pow(10.0, 3.0 * double(suffix + 1));
      ++used;
    }
  }
  if (used != word.size() || !std::isfinite(value)) refuse();
  if (value < option.min || value > option.max) refuse();
  if (whole && (value != std::floor(value) || std::abs(value) > 0x1p53)) refuse();
  return value;
}

void assign(const Option& option, const std::string& word) {
  if (const auto* text = std::get_if<std::string*>(&option.target)) {
    const auto& choices = option.choices;
    if (!choices.empty() && std::find(choices.begin(), choices.end(), word) == choices.end()) {
      fail(ErrorKind::kUsage, option.name, ": got '", word, "', expected one of ", joined(choices),
           did_you_mean(word, choices));
    }
    **text = word;
  } else if (const auto* whole = std::get_if<int64_t*>(&option.target)) {
    **whole = int64_t(parse_number(option, word, true));
  } else if (const auto* maybe = std::get_if<std::optional<int64_t>*>(&option.target)) {
    **maybe = int64_t(parse_number(option, word, true));
  } else if (const auto* may_be = std::get_if<std::optional<double>*>(&option.target)) {
    **may_be = parse_number(option, word, false);
  } else if (const auto* real = std::get_if<double*>(&option.target)) {
    **real = parse_number(option, word, false);
  } else if (const auto* list = std::get_if<std::vector<std::string>*>(&option.target)) {
    (*list)->push_back(word);
  }
}

struct Described {
  std::string type, initial;
};

Described describe(const Option& option) {
  if (const auto* text = std::get_if<std::string*>(&option.target)) {
    std::string type = "TEXT";
    if (!option.choices.empty()) {
      type.clear();
      for (const auto& choice : option.choices) type += (type.empty() ? "" : "|") + choice;
    }
    return {type, **text};
  }
  if (const auto* whole = std::get_if<int64_t*>(&option.target)) {
    return {"N", std::to_string(**whole)};
  }
  if (std::holds_alternative<std::optional<int64_t>*>(option.target)) return {"N", ""};
  if (const auto* real = std::get_if<double*>(&option.target)) return {"X", plain(**real)};
  if (std::holds_alternative<std::optional<double>*>(option.target)) return {"X", ""};
  if (std::holds_alternative<std::vector<std::string>*>(option.target)) return {"TEXT", ""};
  return {};
}

bool is_positional(const Option& option) {
  return option.name[0] != '-';
}

[[noreturn]] void refuse_extra(const CommandLine& line, const std::string& word) {
  std::vector<std::string> names;
  for (const Option& option : line.options) {
    if (!is_positional(option)) names.push_back(option.name);
  }
  if (word[0] != '-') {
    fail(ErrorKind::kUsage, "got '", word, "', expected no more arguments");
  }
  const std::string name = word.substr(0, word.find('='));
  fail(ErrorKind::kUsage, "got '", name, "', expected an option of ", line.command,
       did_you_mean(name, names));
}

}  // namespace

std::string parse(const CommandLine& line, const std::vector<std::string>& arguments) {
  CLI::App app(line.summary, line.command);
  app.set_help_flag("-h,--help", "this text");
  app.allow_extras();
  std::vector<std::pair<const Option*, CLI::Option*>> added;
  for (const Option& option : line.options) {
    CLI::Option* handle = nullptr;
    if (const auto* flag = std::get_if<bool*>(&option.target)) {
      handle = app.add_flag(option.name, **flag, option.help);
    } else {
      const bool list = std::holds_alternative<std::vector<std::string>*>(option.target);
      const auto take = [&option, list](const CLI::results_t& words) {
        const size_t first = list ? 0 : words.size() - 1;
        if (list) std::get<std::vector<std::string>*>(option.target)->clear();  // of its default
        for (size_t i = first; i < words.size(); ++i) assign(option, words[i]);
        return true;
      };
      handle = app.add_option(option.name, take, option.help);
      const Described described = describe(option);
      handle->type_name(described.type)->default_str(described.initial);
      if (list) {
        handle->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
      } else {
        handle->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      }
    }
    handle->group(option.group);
    added.emplace_back(&option, handle);
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    for (auto& [option, handle] : added) handle->required(option->required);
    return app.help();
  } catch (const CLI::ArgumentMismatch&) {
    const auto needs_value = [&](const Option& option) {
      return !std::holds_alternative<bool*>(option.target) && arguments.back() == option.name;
    };
    for (const Option& option : line.options) {
      if (needs_value(option)) {
        fail(ErrorKind::kUsage, option.name, ": got no value, expected ", describe(option).type);
      }
    }
    fail(ErrorKind::kUsage, "an option lacks its value or has one too many; see ", line.command,
         " --help");
  } catch (const CLI::ParseError& error) {
    fail(ErrorKind::kUsage, error.what());
  }
  const std::vector<std::string> extras = app.remaining();
  for (const std::string& word : extras) {
    if (word[0] == '-') refuse_extra(line, word);
  }
  if (!extras.empty()) refuse_extra(line, extras.front());
  for (const auto& [option, handle] : added) {
    if (option->required && handle->count() == 0) {
      fail(ErrorKind::kUsage, "got no ", option->name, ", expected it: ", option->help);
    }
  }
  return "";
}

}  // namespace kintsugi::apps

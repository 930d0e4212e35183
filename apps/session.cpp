#include "kintsugi/apps/session.h"

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <thread>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/error.h"

namespace kintsugi::apps {

namespace {

int stop_pipe[2] = {-1, -1};

// Only write() is safe in here, so the stop itself is requested by a thread that reads the pipe.
void on_signal(int) {
  const char byte = 0;
  [[maybe_unused]] const auto written = write(stop_pipe[1], &byte, 1);
}

std::stop_source& stop_source() {
  static std::stop_source source = [] {
    std::stop_source made;
    if (pipe(stop_pipe) != 0) return made;
    std::thread([made]() mutable {
      char byte;
      while (read(stop_pipe[0], &byte, 1) == 1) made.request_stop();
    }).detach();
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    return made;
  }();
  return source;
}

Device device_of(const std::string& device) {
  const auto digits = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  };
  if (device == "cpu") return kCpu;
  if (device == "cuda" || (device.rfind("cuda:", 0) == 0 && digits(device.substr(5)))) {
    const Device cuda{DeviceType::kCuda, device == "cuda" ? 0 : std::atoi(device.c_str() + 5)};
    try {
      require(cuda);
    } catch (const Error& error) {
      fail(ErrorKind::kUsage, "--device: got '", device, "': ", error.what());
    }
    return cuda;
  }
  const std::vector<std::string> names{"cpu", "cuda", "cuda:0"};
  fail(ErrorKind::kUsage, "--device: got '", device, "', expected cpu or cuda[:i]",
       did_you_mean(device, names));
}

Math math_of(const std::string& math) {
  const std::vector<std::string> names{"f32", "tf32", "bf16"};
  const auto found = std::find(names.begin(), names.end(), math);
  if (found == names.end()) {
    fail(ErrorKind::kUsage, "--math: got '", math, "', expected f32, tf32 or bf16",
         did_you_mean(math, names));
  }
  return Math(found - names.begin());
}

void report(const std::string& who, const char* line, const std::vector<std::string>& details) {
  std::cerr << who << ": " << line << "\n";
  for (const std::string& detail : details) std::cerr << "  " << detail << "\n";
}

std::string overview(const Program& program, std::span<const Command> commands) {
  std::string text = program.summary + "\n\nUsage: " + program.name + " COMMAND [options]     (" +
                     program.name + " COMMAND --help lists them)\n\nCommands:\n";
  for (const Command& command : commands) {
    std::string name = command.name;
    name.resize(14, ' ');
    text += "  " + name + command.summary + "\n";
  }
  return text;
}

}  // namespace

Session::Session(std::string command, std::vector<std::string> arguments)
    : command_(std::move(command)), arguments_(std::move(arguments)) {}

bool Session::parse(const std::string& summary, std::vector<Option> options) {
  const std::string group = "Common";
  options.push_back({"--json", &json_, "print the result as JSON", group});
  options.push_back({"--threads", &threads_, "CPU threads (0: all cores)", group, false, 0, 4096});
  options.push_back({"--seed", &seed_, "seed of everything that is random", group, false, 0});
  options.push_back({"--device", &device_, "cpu or cuda[:i]", group});
  options.push_back({"--math", &math_, "on a device: f32, tf32, or bf16 (mixed precision)", group});
  const std::string help = apps::parse({command_, summary, std::move(options)}, arguments_);
  if (!help.empty()) {
    std::cout << help;
    return false;
  }
  Context::current().device = device_of(device_);
  Context::current().math = math_of(math_);
  if (Context::current().math != Math::kF32 && Context::current().device == kCpu) {
    fail(ErrorKind::kUsage, "--math: got '", math_, "', expected f32 with --device cpu");
  }
  if (threads_ > 0) Context::current().set_threads(int(threads_));
  Context::current().generator = Generator(seed());
  return true;
}

std::string Session::command_line() const {
  std::string text = command_;
  for (const std::string& word : arguments_) {
    const bool quote = word.find_first_of(" \t'\"\\$") != std::string::npos || word.empty();
    text += quote ? " '" + word + "'" : " " + word;
  }
  return text;
}

std::stop_token Session::stop() {
  return stop_source().get_token();
}

void say(const Session& session, const std::string& text) {
  std::cerr << session.command() << ": " << text << "\n";
}

int run_command_line(const Program& program, std::span<const Command> commands, int argc,
                     char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::cerr << overview(program, commands);
    return 2;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::cout << overview(program, commands);
    return 0;
  }
  if (words[0] == "--version") {
    std::cout << "kintsugi " KINTSUGI_VERSION "\n";
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : commands) {
    names.push_back(command.name);
    if (command.name != words[0]) continue;
    const std::string who = program.name + " " + words[0];
    Session session(who, {words.begin() + 1, words.end()});
    try {
      const int code = command.run(session);
      if (std::cout.flush()) return code;
      report(who, "standard output could not be written", {});
    } catch (const Error& error) {
      report(who, error.what(), error.details());
      return error.kind() == ErrorKind::kUsage ? 2 : 1;
    } catch (const std::bad_alloc&) {
      report(who, "out of memory", {});
    } catch (const std::exception& error) {
      report(who, error.what(), {});
    }
    return 1;
  }
  const std::string line =
      "got '" + words[0] + "', expected a command" + did_you_mean(words[0], names);
  report(program.name, line.c_str(), {});
  return 2;
}

}  // namespace kintsugi::apps

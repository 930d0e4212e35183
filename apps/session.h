// What every command shares: common options, one stop source for Ctrl-C, errors as one line.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "kintsugi/apps/options.h"

namespace kintsugi::apps {

class Session {
 public:
  // command: "kintsugi train".
  Session(std::string command, std::vector<std::string> arguments);

  // The command's own options and the common ones. False where --help was asked for and has been
  // printed: then the command is done.
  bool parse(const std::string& summary, std::vector<Option> options);

  const std::string& command() const { return command_; }
  const std::vector<std::string>& arguments() const { return arguments_; }
  // As it was typed: "kintsugi train --model resnet_nano ...", for a network's card.
  std::string command_line() const;
  uint64_t seed() const { return uint64_t(seed_); }
  bool json() const { return json_; }

  // Stopped by the first SIGINT or SIGTERM after the first call of this; the next one kills.
  std::stop_token stop();

 private:
  std::string command_;
  std::vector<std::string> arguments_;
  bool json_ = false;
  int64_t threads_ = 0;
  int64_t seed_ = 0;
  std::string device_ = "cpu";
  std::string math_ = "f32";
};

struct Command {
  const char* name;
  const char* summary;
  int (*run)(Session& session);
};

struct Program {
  std::string name;     // "kintsugi"
  std::string summary;  // one sentence
};

// The whole of main: finds the command, runs it, turns what it throws into a line and an exit code
// (0 done; 1 the work failed or the question has no answer; 2 the words are wrong).
int run_command_line(const Program& program, std::span<const Command> commands, int argc,
                     char** argv);

// A line to standard error: "kintsugi train: ...".
void say(const Session& session, const std::string& text);

}  // namespace kintsugi::apps

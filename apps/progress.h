// Progress on standard error: a bar with the time left on a terminal, a plain line every few
// seconds otherwise. Standard output stays for results.
#pragma once

#include <chrono>
#include <string>

namespace kintsugi::apps {

class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();  // takes the bar off the terminal
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // fraction in [0,1]; `note` stands behind it ("loss 0.31, 812 images/s").
  void update(double fraction, const std::string& note = "");
  // A line that stays.
  void line(const std::string& text);
  double seconds() const;

 private:
  void clear();
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
};

std::string duration(double seconds);  // "12 s", "3 min 05 s", "2 h 07 min"

}  // namespace kintsugi::apps

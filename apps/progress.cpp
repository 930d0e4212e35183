#include "kintsugi/apps/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace kintsugi::apps {

namespace {

constexpr double kBarEvery = 0.1, kLineEvery = 5;  // seconds
constexpr int kBarWidth = 28;

}  // namespace

std::string duration(double seconds) {
  const auto whole = int64_t(seconds + 0.5);
  char text[64];
  if (whole < 60) {
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(whole));
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld min %02lld s", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld h %02lld min", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole % 3600 / 60));
  }
  return text;
}

Progress::Progress(std::string label) : label_(std::move(label)), terminal_(isatty(2) == 1) {}

Progress::~Progress() {
  clear();
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::clear() {
  if (drawn_) std::cerr << "\r\033[K" << std::flush;
  drawn_ = false;
}

void Progress::update(double fraction, const std::string& note) {
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - shown_).count();
  if (since < (terminal_ ? kBarEvery : kLineEvery)) return;
  shown_ = now;
  fraction = std::clamp(fraction, 0.0, 1.0);
  std::string text = label_ + " ";
  if (terminal_) {
    const int full = int(fraction * kBarWidth);
    for (int i = 0; i < kBarWidth; ++i) text += i < full ? "█" : "░";
    text += " ";
  }
  text += std::to_string(int(fraction * 100)) + " %";
  if (fraction > 0.01) text += ", " + duration(seconds() / fraction * (1 - fraction)) + " left";
  if (!note.empty()) text += ", " + note;
  if (terminal_) {
    std::cerr << "\r\033[K" << text << std::flush;
    drawn_ = true;
  } else {
    std::cerr << text << "\n";
  }
}

void Progress::line(const std::string& text) {
  clear();
  std::cerr << text << "\n";
}

}  // namespace kintsugi::apps

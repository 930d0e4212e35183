// Errors: one exception type. The library never prints, aborts or exits; it throws Error.
#pragma once

#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kintsugi {

enum class ErrorKind {
  kUsage,        // a caller's words are wrong (an unknown name, an impossible option)
  kShape,        // shapes that do not fit
  kDtype,        // a dtype that the operation does not take
  kDevice,       // tensors on the wrong device, or a backend that is not built in
  kIo,           // the file system refused
  kFormat,       // a file that is not what it claims to be
  kInfeasible,   // a question without an answer
  kMissing,      // a kernel, gradient or feature that does not exist
  kNumeric,      // NaN or infinity where none may be
  kMemory,       // an allocation failed
  kInterrupted,  // a stop was requested
};

// `what()` is one line: what was got, what was expected, the nearest right name. Where several
// things are wrong at once, the line counts them and `details()` lists them.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::vector<std::string> details = {})
      : std::runtime_error(message), kind_(kind), details_(std::move(details)) {}
  ErrorKind kind() const { return kind_; }
  const std::vector<std::string>& details() const { return details_; }

 private:
  ErrorKind kind_;
  std::vector<std::string> details_;
};

// fail(kShape, "conv2d: got ", x.shape(), ", expected ...") throws an Error of the parts, streamed.
template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  throw Error(kind, out.str());
}

// The candidate with the least edit distance to `got`, or "" where none comes near.
std::string nearest_name(std::string_view got, std::span<const std::string> candidates);

// "; did you mean 'resnet50'?", or "" where no candidate comes near.
std::string did_you_mean(std::string_view got, std::span<const std::string> candidates);

}  // namespace kintsugi

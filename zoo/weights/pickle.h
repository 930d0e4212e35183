// Python pickles, read as inert data (https://peps.python.org/pep-0307, -3154, -0574; the opcodes
// are described in CPython's Lib/pickletools.py).
//
// Nothing is ever called. "Call f with these arguments" becomes a value that says so, and whoever
// reads the pickle decides what f means; a name outside the caller's list is an Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kintsugi::zoo {

struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,        // integer
    kInteger,     // integer
    kReal,        // real
    kText,        // text: a string, or bytes
    kTuple,       // items
    kList,        // items
    kDict,        // items: key, value, key, value, ...
    kGlobal,      // text: "module.name"
    kCall,        // text: what is called; items: the arguments
    kPersistent,  // items: one, the identity of something that lies outside the pickle
    kOther,       // text: a number of more than 64 bits, as it stands in the file
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string_view text;
  std::vector<const PickleValue*> items;

  bool is(Kind wanted) const { return kind == wanted; }
};

class Pickle {
 public:
  // Whether a name may stand in the pickle, and whether calling it makes a dictionary.
  enum class Verdict { kRefused, kAllowed, kMakesDict };
  using Judge = std::function<Verdict(std::string_view global)>;

  // Reads one pickle from the beginning of `bytes`, protocols 0 to 5. Steps, values and depth of
  // the stack are bounded (64 MB in all), whatever the file's size. Error kFormat, beginning with
  // `name`. The bytes must outlive this object.
  Pickle(std::span<const std::byte> bytes, const std::string& name, const Judge& judge);

  Pickle(Pickle&&) = default;
  Pickle(const Pickle&) = delete;

  const PickleValue& root() const { return *root_; }
  const std::deque<PickleValue>& values() const { return values_; }  // wherever they are used
  size_t length() const { return length_; }                          // bytes that were read

 private:
  friend class PickleMachine;
  std::deque<PickleValue> values_;  // all of them: cycles and deep nests die without recursion
  std::deque<std::string> texts_;   // those that do not stand in the file as they are
  const PickleValue* root_ = nullptr;
  size_t length_ = 0;
};

}  // namespace kintsugi::zoo

#include "kintsugi/zoo/weights/pickle.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <span>
#include <unordered_map>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"

namespace kintsugi::zoo {

namespace {

using Kind = PickleValue::Kind;

// A checkpoint of 2,000 tensors with its optimizer takes some 300,000 steps and 100,000 values.
constexpr size_t kMostSteps = 2'000'000;
constexpr size_t kMostValues = 400'000;
constexpr size_t kMostStack = 1'000'000;

}  // namespace

class PickleMachine {
 public:
  PickleMachine(Pickle& out, std::span<const std::byte> bytes, const std::string& name,
                const Pickle::Judge& judge)
      : out_(out),
        text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        name_(name),
        judge_(judge) {}

  void run() {
    for (size_t steps = 0; step(); ++steps) {
      if (steps == kMostSteps) broken("more than ", kMostSteps, " steps");
    }
    out_.root_ = pop();
    out_.length_ = at_;
  }

 private:
  template <class... Parts>
  [[noreturn]] void broken(const Parts&... parts) const {
    fail(ErrorKind::kFormat, name_, ": broken pickle at byte ", at_, ": ", parts...);
  }

  std::string_view take(uint64_t count) {
    if (count > text_.size() - at_) broken("it ends too early");
    const std::string_view taken = text_.substr(at_, count);
    at_ += count;
    return taken;
  }
  uint64_t number(size_t bytes) {
    const std::string_view taken = take(bytes);
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;) value = value << 8 | uint8_t(taken[i]);
    return value;
  }
  std::string_view line() {
    const size_t end = text_.find('\n', at_);
    if (end == text_.npos) broken("a line without an end");
    const std::string_view taken = text_.substr(at_, end - at_);
    at_ = end + 1;
    return taken;
  }

  PickleValue& make(Kind kind) {
    if (out_.values_.size() == kMostValues) broken("more than ", kMostValues, " values");
    PickleValue& value = out_.values_.emplace_back();
    value.kind = kind;
    return value;
  }
  PickleValue& push(PickleValue& value) {
    if (stack_.size() + marks_.size() >= kMostStack) broken("its stack overflows");
    stack_.push_back(&value);
    return value;
  }
  PickleValue& push(Kind kind) { return push(make(kind)); }
  void push_text(std::string_view text) { push(Kind::kText).text = text; }
  void push_integer(int64_t value) { push(Kind::kInteger).integer = value; }
  void push_bool(bool value) { push(Kind::kBool).integer = value; }

  size_t base() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue* pop() {
    if (stack_.size() == base()) broken("its stack is empty");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue& top() {
    if (stack_.size() == base()) broken("its stack is empty");
    return *stack_.back();
  }
  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) broken("no mark");
    std::vector<const PickleValue*> items(stack_.begin() + ptrdiff_t(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_tuple(size_t count) {
    if (stack_.size() - base() < count) broken("its stack is empty");
    PickleValue& tuple = make(Kind::kTuple);
    tuple.items.assign(stack_.end() - ptrdiff_t(count), stack_.end());
    stack_.resize(stack_.size() - count);
    push(tuple);
  }

  void put(uint64_t index) { memo_[index] = &top(); }
  void get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) broken("nothing was kept as ", index);
    push(*found->second);
  }
  uint64_t decimal() {
    const std::string_view digits = line();
    uint64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (code != std::errc() || end != digits.data() + digits.size()) broken("expected a number");
    return value;
  }

  void push_global(std::string_view module, std::string_view name) {
    std::string& full = out_.texts_.emplace_back(module);
    full += '.';
    full += name;
    if (judge_(full) == Pickle::Verdict::kRefused) {
      fail(ErrorKind::kFormat, name_, ": its pickle asks for '", printable(full),
           "', which weights do not need, and nothing in it is run; expected a state_dict");
    }
    push(Kind::kGlobal).text = full;
  }

  // "Call what stands below the arguments": a value that says so.
  void push_call() {
    const PickleValue* arguments = pop();
    const PickleValue* callee = pop();
    if (!callee->is(Kind::kGlobal) || !arguments->is(Kind::kTuple)) broken("a call of no name");
    if (judge_(callee->text) == Pickle::Verdict::kMakesDict) {
      PickleValue& dict = push(Kind::kDict);
      // OrderedDict([(key, value), ...]), as protocol 0 and 1 have it.
      if (arguments->items.empty() || !arguments->items.back()->is(Kind::kList)) return;
      for (const PickleValue* pair : arguments->items.back()->items) {
        if (pair->items.size() != 2) broken("expected pairs");
        dict.items.insert(dict.items.end(), pair->items.begin(), pair->items.end());
      }
      return;
    }
    PickleValue& call = push(Kind::kCall);
    call.text = callee->text;
    call.items = arguments->items;
  }

  void append(std::span<const PickleValue* const> items) {
    PickleValue& list = top();
    if (!list.is(Kind::kList)) broken("appends to no list");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }
  void set_items(std::span<const PickleValue* const> items) {
    PickleValue& dict = top();
    if (!dict.is(Kind::kDict) || items.size() % 2 != 0) broken("sets an item of no dictionary");
    dict.items.insert(dict.items.end(), items.begin(), items.end());
  }

  // Little endian, two's complement.
  void push_long(uint64_t count) {
    const std::string_view bytes = take(count);
    if (count > 8) {
      push(Kind::kOther).text = bytes;
      return;
    }
    uint64_t value = count > 0 && (bytes.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | uint8_t(bytes[i]);
    push_integer(int64_t(value));
  }
  void push_decimal_integer(const std::string_view line) {
    if (line == "00" || line == "01") return push_bool(line == "01");
    std::string_view digits = line;
    if (digits.ends_with('L')) digits.remove_suffix(1);
    int64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (code == std::errc::result_out_of_range) {
      push(Kind::kOther).text = line;
      return;
    }
    if (code != std::errc() || end != digits.data() + digits.size()) broken("expected a number");
    push_integer(value);
  }
  void push_real(uint64_t bits) { std::memcpy(&push(Kind::kReal).real, &bits, sizeof bits); }
  // Protocol 0's strings: quoted, with escapes that no name of a tensor has.
  void push_quoted(std::string_view text) {
    if (text.size() < 2 || text.front() != text.back() ||
        (text.front() != '\'' && text.front() != '"')) {
      broken("expected a quoted string");
    }
    push_text(text.substr(1, text.size() - 2));
  }

  bool step();

  Pickle& out_;
  const std::string_view text_;
  const std::string& name_;
  const Pickle::Judge& judge_;
  size_t at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

// One opcode; false after the last.
bool PickleMachine::step() {
  const char code = take(1)[0];
  switch (code) {
    case '\x80':  // PROTO
      if (const uint64_t version = number(1); version > 5) {
        broken("got protocol ", version, ", expected at most 5");
      }
      break;
    case '\x95':  // FRAME
      if (number(8) > text_.size() - at_) broken("a frame ends behind the file");
      break;
    case '.':
      return false;

    case '(':
      if (stack_.size() + marks_.size() >= kMostStack) broken("its stack overflows");
      marks_.push_back(stack_.size());
      break;
    case '0':  // POP, of a mark as well
      if (!marks_.empty() && stack_.size() == base()) {
        marks_.pop_back();
      } else {
        pop();
      }
      break;
    case '1':
      pop_to_mark();
      break;
    case '2':
      push(top());
      break;

    case 'N':
      push(Kind::kNone);
      break;
    case '\x88':
      push_bool(true);
      break;
    case '\x89':
      push_bool(false);
      break;
    case 'I':
    case 'L':
      push_decimal_integer(line());
      break;
    case 'J':
      push_integer(int32_t(number(4)));
      break;
    case 'K':
      push_integer(int64_t(number(1)));
      break;
    case 'M':
      push_integer(int64_t(number(2)));
      break;
    case '\x8a':
      push_long(number(1));
      break;
    case '\x8b':
      push_long(number(4));
      break;
    case 'F': {
      const std::string digits(line());
      char* end = nullptr;
      const double value = std::strtod(digits.c_str(), &end);
      if (digits.empty() || *end != 0) broken("expected a number");
      push(Kind::kReal).real = value;
      break;
    }
    case 'G':  // big endian
      push_real(__builtin_bswap64(number(8)));
      break;

    case 'S':
      push_quoted(line());
      break;
    case 'V':
      push_text(line());
      break;
    case 'U':     // SHORT_BINSTRING
    case 'C':     // SHORT_BINBYTES
    case '\x8c':  // SHORT_BINUNICODE
      push_text(take(number(1)));
      break;
    case 'T':
    case 'B':
    case 'X':
      push_text(take(number(4)));
      break;
    case '\x8d':
    case '\x8e':
    case '\x96':  // BINUNICODE8, BINBYTES8, BYTEARRAY8
      push_text(take(number(8)));
      break;

    case ')':
      push_tuple(0);
      break;
    case '\x85':
    case '\x86':
    case '\x87':
      push_tuple(size_t(uint8_t(code) - 0x84));
      break;
    case 't': {
      auto items = pop_to_mark();
      push(Kind::kTuple).items = std::move(items);
      break;
    }
    case ']':
    case '\x8f':  // EMPTY_SET: of a set nothing is read
      push(Kind::kList);
      break;
    case 'l': {
      auto items = pop_to_mark();
      push(Kind::kList).items = std::move(items);
      break;
    }
    case '\x91': {  // FROZENSET
      auto items = pop_to_mark();
      push(Kind::kList).items = std::move(items);
      break;
    }
    case '}':
      push(Kind::kDict);
      break;
    case 'd': {
      const auto items = pop_to_mark();
      push(Kind::kDict);
      set_items(items);
      break;
    }
    case 'a': {
      const PickleValue* item = pop();
      append({&item, 1});
      break;
    }
    case 'e':
    case '\x90':  // APPENDS, ADDITEMS
      append(pop_to_mark());
      break;
    case 's': {
      const PickleValue* value = pop();
      const PickleValue* pair[] = {pop(), value};
      set_items(pair);
      break;
    }
    case 'u':
      set_items(pop_to_mark());
      break;

    case 'p':
      put(decimal());
      break;
    case 'q':
      put(number(1));
      break;
    case 'r':
      put(number(4));
      break;
    case '\x94':
      put(memo_.size());
      break;
    case 'g':
      get(decimal());
      break;
    case 'h':
      get(number(1));
      break;
    case 'j':
      get(number(4));
      break;

    case 'c': {
      const std::string_view module = line();
      push_global(module, line());
      break;
    }
    case '\x93': {  // STACK_GLOBAL
      const PickleValue* name = pop();
      const PickleValue* module = pop();
      if (!name->is(Kind::kText) || !module->is(Kind::kText)) broken("a global without a name");
      push_global(module->text, name->text);
      break;
    }
    case 'R':
    case '\x81':  // REDUCE, NEWOBJ
      push_call();
      break;
    case '\x92':  // NEWOBJ_EX
      pop();
      push_call();
      break;
    case 'b':  // BUILD: attributes, of which none is read
      pop();
      top();
      break;
    case 'Q': {
      const PickleValue* identity = pop();
      push(Kind::kPersistent).items = {identity};
      break;
    }

    default: {
      constexpr std::string_view kDigits = "0123456789abcdef";
      const char hex[] = {'0', 'x', kDigits[uint8_t(code) >> 4], kDigits[code & 15], 0};
      --at_;
      broken("got the opcode ", hex, ", which weights do not need");
    }
  }
  return true;
}

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& name, const Judge& judge) {
  PickleMachine(*this, bytes, name, judge).run();
}

}  // namespace kintsugi::zoo

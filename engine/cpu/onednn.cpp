#include "kintsugi/engine/cpu/onednn.h"

#include <omp.h>

#include <array>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "kintsugi/engine/core/buffer.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cpu/pack.h"

namespace kintsugi::cpu::onednn {

namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Tag = memory::format_tag;
using Prop = dnnl::prop_kind;

enum class Op : int64_t { kMatmul, kConv, kConvBackwardInput, kConvBackwardWeight };

struct Key {
  std::array<int64_t, 24> numbers{};  // op, threads, bias, then the shape's
  template <class Numbers>
  Key(Op op, bool bias, const Numbers& shape) {
    static_assert(sizeof(Numbers) + 3 * sizeof(int64_t) <= sizeof(numbers));
    numbers[0] = int64_t(op);
    numbers[1] = Context::current().threads();
    numbers[2] = bias;
    std::memcpy(&numbers[3], &shape, sizeof(shape));
  }
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  size_t operator()(const Key& key) const {
    uint64_t hash = 0x9E3779B97F4A7C15u;
    for (const int64_t x : key.numbers) {
      hash = (hash ^ uint64_t(x)) * 0xff51afd7ed558ccdu;
      hash ^= hash >> 32;
    }
    return hash;
  }
};

// A primitive and what its run needs. A null primitive stands for "declined".
struct Compiled {
  dnnl::primitive primitive;
  memory::desc a, b, bias, c;  // matmul's names; x, weight, y for convolutions
  memory::desc scratchpad;
  // Of weights, between row major and the primitive's own order: by panels where that order is
  // one of them, by a primitive elsewhere, and neither where the orders are the same.
  std::optional<Panels> panels;
  dnnl::primitive reorder;
  memory::desc plain_weight;
  bool declined = true;
};

// Least recently used of a fixed number of primitives goes first.
class Cache {
 public:
  template <class Make>
  std::shared_ptr<const Compiled> get(const Key& key, const Make& make) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = index_.find(key);
      if (found != index_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        return found->second->second;
      }
    }
    // Made without the lock: it takes milliseconds. Two threads may make the same one.
    std::shared_ptr<const Compiled> made = make();
    const std::lock_guard lock(mutex_);
    if (index_.contains(key)) return made;
    entries_.emplace_front(key, made);
    index_[key] = entries_.begin();
    if (entries_.size() > kCapacity) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return made;
  }

 private:
  static constexpr size_t kCapacity = 1024;
  using Entry = std::pair<Key, std::shared_ptr<const Compiled>>;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> index_;
};

// Never destroyed: oneDNN's own statics may be gone by then.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

const dnnl::engine& engine() {
  static const auto* const instance = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *instance;
}

dnnl::stream& stream() {
  thread_local dnnl::stream instance(engine());
  return instance;
}

// oneDNN asks OpenMP for its thread count, at creation and at execution.
class ThreadScope {
 public:
  ThreadScope() : saved_(omp_get_max_threads()) {
    const int wanted = Context::current().threads();
    if (wanted != saved_) omp_set_num_threads(wanted);
  }
  ~ThreadScope() {
    if (omp_get_max_threads() != saved_) omp_set_num_threads(saved_);
  }

 private:
  int saved_;
};

// Runs fn with the context's threads and translates oneDNN's exceptions.
template <class F>
auto guarded(const char* op, const F& fn) {
  const ThreadScope threads;
  try {
    return fn();
  } catch (const dnnl::error& error) {
    const ErrorKind kind =
        error.status == dnnl_out_of_memory ? ErrorKind::kMemory : ErrorKind::kMissing;
    fail(kind, op, ": oneDNN: ", error.message, " (status ", int(error.status), ")");
  }
}

dnnl::primitive_attr attributes(bool relu = false) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // so that threads may share a primitive
  if (relu) {
    constexpr auto kRelu = dnnl::algorithm::eltwise_relu;
    dnnl::post_ops after;
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(kRelu, 0, 0);
#else
    after.append_eltwise(1, kRelu, 0, 0);
#endif
    attr.set_post_ops(after);
  }
  return attr;
}

// One primitive description: 2.x makes it of an operation's description, 3.x directly.
template <class Primitive, class... Hint>
struct Make {
  template <class... Args>
  static typename Primitive::primitive_desc make(const Hint&... hint, const Args&... args) {
    return with(attributes(), hint..., args...);
  }
  template <class... Args>
  static typename Primitive::primitive_desc with(const dnnl::primitive_attr& attr,
                                                 const Hint&... hint, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
    return typename Primitive::primitive_desc(engine(), args..., hint..., attr);
#else
    return typename Primitive::primitive_desc(typename Primitive::desc(args...), attr, engine(),
                                              hint...);
#endif
  }
};

template <class Description>
bool is_reference(const Description& pd) {
  return std::string_view(pd.impl_info_str()).find("ref") != std::string_view::npos;
}

template <class F>
std::shared_ptr<const Compiled> compile(const F& fill) {
  auto made = std::make_shared<Compiled>();
  try {
    made->declined = !fill(*made);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
  }
  return made;
}

struct Argument {
  int name;
  const memory::desc& desc;
  const void* data;
};

template <size_t kCount>
void execute(const dnnl::primitive& primitive, const Argument (&arguments)[kCount]) {
  std::unordered_map<int, memory> bound;
  for (const Argument& x : arguments) {
    if (x.data) bound.emplace(x.name, memory(x.desc, engine(), const_cast<void*>(x.data)));
  }
  primitive.execute(stream(), bound);
  stream().wait();
}

void execute_reorder(const dnnl::primitive& reorder, const memory::desc& from, const void* src,
                     const memory::desc& to, void* dst) {
  execute(reorder, {{DNNL_ARG_FROM, from, src}, {DNNL_ARG_TO, to, dst}});
}

// Room that a run needs for a moment; none where the size is 0.
class Room {
 public:
  explicit Room(size_t bytes) {
    if (bytes > 0) buffer_.emplace(bytes, kCpu);
  }
  void* data() const { return buffer_ ? buffer_->data() : nullptr; }

 private:
  std::optional<Buffer> buffer_;
};

// --- matrix products ---

// The leading dimensions that are all 1 are left out: oneDNN's 2-D kernels are its best.
memory::desc matrix(const Matmul& s, const int64_t (&strides)[4], int64_t rows, int64_t columns) {
  memory::dims dims, steps;
  const int skip = s.batch[0] == 1 ? (s.batch[1] == 1 ? 2 : 1) : 0;
  for (int i = skip; i < 2; ++i) {
    const bool repeated = strides[i] == 0 || s.batch[i] == 1;
    dims.push_back(repeated ? 1 : s.batch[i]);
    steps.push_back(repeated ? rows * columns : strides[i]);
  }
  dims.insert(dims.end(), {rows, columns});
  steps.insert(steps.end(), {strides[2], strides[3]});
  return memory::desc(dims, DataType::f32, steps);
}

memory::dims dims_of(const memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_dims();
#else
  return desc.dims();
#endif
}

bool fill_matmul(const Matmul& s, bool with_bias, Compiled& out) {
  out.a = matrix(s, s.a, s.m, s.k);
  out.b = matrix(s, s.b, s.k, s.n);
  out.c = matrix(s, s.c, s.m, s.n);
  const auto finish = [&](const dnnl::matmul::primitive_desc& pd) {
    if (is_reference(pd)) return false;
    out.primitive = dnnl::matmul(pd);
    out.scratchpad = pd.scratchpad_desc();
    return true;
  };
  using Maker = Make<dnnl::matmul>;
  if (!with_bias) return finish(Maker::make(out.a, out.b, out.c));
  const size_t batch_dims = dims_of(out.c).size() - 1;
  memory::dims dims(batch_dims, 1), steps(batch_dims, s.n);
  dims.push_back(s.n);
  steps.push_back(1);
  out.bias = memory::desc(dims, DataType::f32, steps);
  return finish(Maker::make(out.a, out.b, out.bias, out.c));
}

// --- convolutions ---

struct ConvDescs {
  memory::desc x, y, bias, any_weight, plain_weight;
  memory::dims strides, dilations, before, after;

  explicit ConvDescs(const ConvShape& s)
      : x({s.n, s.c, s.h, s.w}, DataType::f32, Tag::nhwc),
        y({s.n, s.o, s.oh, s.ow}, DataType::f32, Tag::nhwc),
        bias({s.o}, DataType::f32, Tag::a),
        strides{s.stride_h, s.stride_w},
        dilations{s.dilation_h - 1, s.dilation_w - 1},
        before{s.top, s.left},
        after{s.bottom, s.right} {
    const bool grouped = s.groups > 1;
    memory::dims dims{s.o / s.groups, s.c / s.groups, s.kh, s.kw};
    if (grouped) dims.insert(dims.begin(), s.groups);
    any_weight = memory::desc(dims, DataType::f32, Tag::any);
    plain_weight = memory::desc(dims, DataType::f32, grouped ? Tag::goihw : Tag::oihw);
  }
};

dnnl::convolution_forward::primitive_desc forward_description(const ConvDescs& d, Prop prop,
                                                              bool with_bias, bool relu = false) {
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  using Maker = Make<dnnl::convolution_forward>;
  if (with_bias) {
    return Maker::with(attributes(relu), prop, kDirect, d.x, d.any_weight, d.bias, d.y, d.strides,
                       d.dilations, d.before, d.after);
  }
  return Maker::with(attributes(relu), prop, kDirect, d.x, d.any_weight, d.y, d.strides,
                     d.dilations, d.before, d.after);
}

template <class Primitive, class Description>
void adopt(Compiled& out, const ConvDescs& d, const Description& pd, const memory::desc& weight) {
  out.primitive = Primitive(pd);
  out.scratchpad = pd.scratchpad_desc();
  out.a = d.x;
  out.b = weight;
  out.bias = d.bias;
  out.c = d.y;
  out.plain_weight = d.plain_weight;
}

// How oneDNN lays out a tensor: outer strides of blocks, then the blocks from the outside in.
struct Blocks {
  memory::dims dims, padded, strides, sizes, of;

  explicit Blocks(const memory::desc& desc) : dims(dims_of(desc)) {
#if DNNL_VERSION_MAJOR >= 3
    padded = desc.get_padded_dims();
    strides = desc.get_strides();
    sizes = desc.get_inner_blks();
    of = desc.get_inner_idxs();
#else
    const auto& raw = desc.data;
    const auto& blocking = raw.format_desc.blocking;
    padded.assign(raw.padded_dims, raw.padded_dims + raw.ndims);
    strides.assign(blocking.strides, blocking.strides + raw.ndims);
    sizes.assign(blocking.inner_blks, blocking.inner_blks + blocking.inner_nblks);
    of.assign(blocking.inner_idxs, blocking.inner_idxs + blocking.inner_nblks);
#endif
  }

  // An element's offset is the sum of its coordinates' offsets.
  int64_t offset(int64_t dim, int64_t at) const {
    int64_t result = 0, step = 1;
    for (size_t k = sizes.size(); k-- > 0; step *= sizes[k]) {
      if (of[k] != dim) continue;
      result += at % sizes[k] * step;
      at /= sizes[k];
    }
    return result + at * strides[size_t(dim)];
  }
};

// The order of (o,c,kh,kw) weights as panels over o, where it is one.
std::optional<Panels> panels_of(const memory::desc& desc) {
  const Blocks blocks(desc);
  const int64_t lanes = pack_lanes(), outputs = blocks.padded[0];
  if (blocks.dims.size() != 4 || outputs % lanes != 0) return {};
  Panels made;
  made.rows = blocks.dims[0];
  for (int64_t o = 0; o < outputs; ++o) {
    if (o % lanes == 0)
      made.panel_offset.push_back(blocks.offset(0, o));
    else if (blocks.offset(0, o) != made.panel_offset.back() + o % lanes)
      return {};
  }
  for (int64_t c = 0; c < blocks.dims[1]; ++c) {
    for (int64_t p = 0; p < blocks.dims[2]; ++p) {
      for (int64_t q = 0; q < blocks.dims[3]; ++q) {
        made.column_offset.push_back(blocks.offset(1, c) + blocks.offset(2, p) +
                                     blocks.offset(3, q));
      }
    }
  }
  made.columns = int64_t(made.column_offset.size());
  return made;
}

void add_reorder(Compiled& out, const memory::desc& from, const memory::desc& to) {
  if (from == to) return;
  out.reorder =
      dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to, attributes()));
}

// Row-major weights into the primitive's order. Its padding must be zeros, so input channels that
// are padded are left to oneDNN.
void add_pack(Compiled& out) {
  if (out.plain_weight == out.b) return;
  const Blocks blocks(out.b);
  if (blocks.padded[1] == blocks.dims[1]) out.panels = panels_of(out.b);
  if (!out.panels) add_reorder(out, out.plain_weight, out.b);
}

void add_unpack(Compiled& out) {
  if (out.plain_weight == out.b) return;
  out.panels = panels_of(out.b);
  if (!out.panels) add_reorder(out, out.b, out.plain_weight);
}

bool fill_conv(const ConvShape& s, bool with_bias, Compiled& out) {
  const ConvDescs d(s);
  const auto pd = forward_description(d, Prop::forward_inference, with_bias, s.relu != 0);
  if (is_reference(pd)) return false;
  adopt<dnnl::convolution_forward>(out, d, pd, pd.weights_desc());
  add_pack(out);
  return true;
}

bool fill_conv_backward_input(const ConvShape& s, Compiled& out) {
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  const ConvDescs d(s);
  using Hint = dnnl::convolution_forward::primitive_desc;
  const Hint hint = forward_description(d, Prop::forward_training, false);
  const auto pd = Make<dnnl::convolution_backward_data, Hint>::make(
      hint, kDirect, d.x, d.any_weight, d.y, d.strides, d.dilations, d.before, d.after);
  if (is_reference(pd)) return false;
  adopt<dnnl::convolution_backward_data>(out, d, pd, pd.weights_desc());
  add_pack(out);
  return true;
}

bool fill_conv_backward_weight(const ConvShape& s, bool with_bias, Compiled& out) {
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  const ConvDescs d(s);
  using Hint = dnnl::convolution_forward::primitive_desc;
  using Maker = Make<dnnl::convolution_backward_weights, Hint>;
  const Hint hint = forward_description(d, Prop::forward_training, with_bias);
  const auto pd = with_bias ? Maker::make(hint, kDirect, d.x, d.any_weight, d.bias, d.y, d.strides,
                                          d.dilations, d.before, d.after)
                            : Maker::make(hint, kDirect, d.x, d.any_weight, d.y, d.strides,
                                          d.dilations, d.before, d.after);
  if (is_reference(pd)) return false;
  adopt<dnnl::convolution_backward_weights>(out, d, pd, pd.diff_weights_desc());
  add_unpack(out);
  return true;
}

bool same_order(const Compiled& p) {
  return !p.panels && !p.reorder;
}

// `weight` in the primitive's order: itself, or packed into `room`.
const void* prepared(const Compiled& p, const float* weight, const Room& room) {
  if (same_order(p)) return weight;
  if (p.panels)
    pack(*p.panels, weight, static_cast<float*>(room.data()));
  else
    execute_reorder(p.reorder, p.plain_weight, weight, p.b, room.data());
  return room.data();
}

size_t packed_bytes(const Compiled& p) {
  return same_order(p) ? 0 : p.b.get_size();
}

}  // namespace

bool matmul(const Matmul& shape, const float* a, const float* b, const float* bias, float* c) {
  return guarded("matmul", [&] {
    const auto p = cache().get(Key(Op::kMatmul, bias != nullptr, shape), [&] {
      return compile([&](Compiled& out) { return fill_matmul(shape, bias != nullptr, out); });
    });
    if (p->declined) return false;
    const Room scratch(p->scratchpad.get_size());
    execute(p->primitive, {{DNNL_ARG_SRC, p->a, a},
                           {DNNL_ARG_WEIGHTS, p->b, b},
                           {DNNL_ARG_BIAS, p->bias, bias},
                           {DNNL_ARG_DST, p->c, c},
                           {DNNL_ARG_SCRATCHPAD, p->scratchpad, scratch.data()}});
    return true;
  });
}

bool conv(const ConvShape& shape, const float* x, const float* weight, const float* bias,
          float* y) {
  return guarded("conv2d", [&] {
    const auto p = cache().get(Key(Op::kConv, bias != nullptr, shape), [&] {
      return compile([&](Compiled& out) { return fill_conv(shape, bias != nullptr, out); });
    });
    if (p->declined) return false;
    const Room scratch(p->scratchpad.get_size()), weights(packed_bytes(*p));
    execute(p->primitive, {{DNNL_ARG_SRC, p->a, x},
                           {DNNL_ARG_WEIGHTS, p->b, prepared(*p, weight, weights)},
                           {DNNL_ARG_BIAS, p->bias, bias},
                           {DNNL_ARG_DST, p->c, y},
                           {DNNL_ARG_SCRATCHPAD, p->scratchpad, scratch.data()}});
    return true;
  });
}

bool conv_backward_input(const ConvShape& shape, const float* dy, const float* weight, float* dx) {
  return guarded("conv2d_backward_input", [&] {
    const auto p = cache().get(Key(Op::kConvBackwardInput, false, shape), [&] {
      return compile([&](Compiled& out) { return fill_conv_backward_input(shape, out); });
    });
    if (p->declined) return false;
    const Room scratch(p->scratchpad.get_size()), weights(packed_bytes(*p));
    execute(p->primitive, {{DNNL_ARG_DIFF_DST, p->c, dy},
                           {DNNL_ARG_WEIGHTS, p->b, prepared(*p, weight, weights)},
                           {DNNL_ARG_DIFF_SRC, p->a, dx},
                           {DNNL_ARG_SCRATCHPAD, p->scratchpad, scratch.data()}});
    return true;
  });
}

bool conv_backward_weight(const ConvShape& shape, const float* x, const float* dy, float* dweight,
                          float* dbias) {
  return guarded("conv2d_backward_weight", [&] {
    const auto p = cache().get(Key(Op::kConvBackwardWeight, dbias != nullptr, shape), [&] {
      return compile(
          [&](Compiled& out) { return fill_conv_backward_weight(shape, dbias != nullptr, out); });
    });
    if (p->declined) return false;
    const Room scratch(p->scratchpad.get_size()), weights(packed_bytes(*p));
    void* const target = same_order(*p) ? dweight : weights.data();
    execute(p->primitive, {{DNNL_ARG_SRC, p->a, x},
                           {DNNL_ARG_DIFF_DST, p->c, dy},
                           {DNNL_ARG_DIFF_WEIGHTS, p->b, target},
                           {DNNL_ARG_DIFF_BIAS, p->bias, dbias},
                           {DNNL_ARG_SCRATCHPAD, p->scratchpad, scratch.data()}});
    if (p->panels)
      unpack(*p->panels, static_cast<const float*>(target), dweight);
    else if (p->reorder)
      execute_reorder(p->reorder, p->b, target, p->plain_weight, dweight);
    return true;
  });
}

}  // namespace kintsugi::cpu::onednn

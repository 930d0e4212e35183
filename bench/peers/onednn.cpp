#include "bench/peers/onednn.h"

#ifdef KINTSUGI_HAVE_ONEDNN

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

namespace kintsugi::bench {

using dnnl::memory;

namespace {

constexpr auto kF32 = memory::data_type::f32;
constexpr auto kDirect = dnnl::algorithm::convolution_direct;

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

template <class Primitive, class... Hint>
struct Make {
  template <class... Args>
  static typename Primitive::primitive_desc make(const Hint&... hint, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
    return typename Primitive::primitive_desc(engine(), args..., hint...);
#else
    return typename Primitive::primitive_desc(typename Primitive::desc(args...), engine(), hint...);
#endif
  }
};

memory wrap(const memory::desc& desc, const Tensor& x) {
  return memory(desc, engine(), x.data<float>());
}

}  // namespace

struct OnednnConv::Impl {
  dnnl::stream stream{engine()};
  int threads = 1;
  Tensor y, dx;
  memory::desc plain_weight;
  memory dweight;
  dnnl::primitive forward, backward_input, backward_weight;
  std::unordered_map<int, memory> forward_args, backward_input_args, backward_weight_args;

  void run(const dnnl::primitive& primitive, const std::unordered_map<int, memory>& arguments) {
    omp_set_num_threads(threads);
    primitive.execute(stream, arguments);
    stream.wait();
  }

  memory reordered(const memory::desc& from, const Tensor& x, const memory::desc& to) {
    memory result(to, engine());
    memory source = wrap(from, x);
    dnnl::reorder(source, result).execute(stream, source, result);
    stream.wait();
    return result;
  }
};

bool OnednnConv::built_in() {
  return true;
}

OnednnConv::OnednnConv(const Tensor& x, const Tensor& weight, const Tensor& dy,
                       const ops::Conv2dParams& params, int threads)
    : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  impl.threads = threads;
  omp_set_num_threads(threads);
  impl.y = Tensor::empty(dy.shape(), DType::kF32, kCpu, MemoryFormat::kChannelsLast);
  impl.dx = Tensor::empty(x.shape(), DType::kF32, kCpu, MemoryFormat::kChannelsLast);
  const auto dims = [](const Tensor& t) {
    return memory::dims(t.shape().begin(), t.shape().end());
  };
  const memory::desc x_desc(dims(x), kF32, memory::format_tag::nhwc);
  const memory::desc y_desc(dims(dy), kF32, memory::format_tag::nhwc);
  memory::dims weight_dims = dims(weight);
  const bool grouped = params.groups > 1;
  if (grouped) {
    weight_dims[0] /= params.groups;
    weight_dims.insert(weight_dims.begin(), params.groups);
  }
  const memory::desc any_weight(weight_dims, kF32, memory::format_tag::any);
  impl.plain_weight = memory::desc(weight_dims, kF32,
                                   grouped ? memory::format_tag::goihw : memory::format_tag::oihw);
  const memory::dims strides{params.stride[0], params.stride[1]};
  const memory::dims dilations{params.dilation[0] - 1, params.dilation[1] - 1};
  const memory::dims before{params.padding[0], params.padding[2]};
  const memory::dims after{params.padding[1], params.padding[3]};

  const auto forward =
      Make<dnnl::convolution_forward>::make(dnnl::prop_kind::forward_training, kDirect, x_desc,
                                            any_weight, y_desc, strides, dilations, before, after);
  using Hint = dnnl::convolution_forward::primitive_desc;
  const auto input = Make<dnnl::convolution_backward_data, Hint>::make(
      forward, kDirect, x_desc, any_weight, y_desc, strides, dilations, before, after);
  const auto weights = Make<dnnl::convolution_backward_weights, Hint>::make(
      forward, kDirect, x_desc, any_weight, y_desc, strides, dilations, before, after);
  impl.forward = dnnl::convolution_forward(forward);
  impl.backward_input = dnnl::convolution_backward_data(input);
  impl.backward_weight = dnnl::convolution_backward_weights(weights);
  impl.dweight = memory(weights.diff_weights_desc(), engine());
  impl.forward_args = {
      {DNNL_ARG_SRC, wrap(x_desc, x)},
      {DNNL_ARG_WEIGHTS, impl.reordered(impl.plain_weight, weight, forward.weights_desc())},
      {DNNL_ARG_DST, wrap(y_desc, impl.y)}};
  impl.backward_input_args = {
      {DNNL_ARG_DIFF_DST, wrap(y_desc, dy)},
      {DNNL_ARG_WEIGHTS, impl.reordered(impl.plain_weight, weight, input.weights_desc())},
      {DNNL_ARG_DIFF_SRC, wrap(x_desc, impl.dx)}};
  impl.backward_weight_args = {{DNNL_ARG_SRC, wrap(x_desc, x)},
                               {DNNL_ARG_DIFF_DST, wrap(y_desc, dy)},
                               {DNNL_ARG_DIFF_WEIGHTS, impl.dweight}};
}

OnednnConv::~OnednnConv() = default;

void OnednnConv::forward() {
  impl_->run(impl_->forward, impl_->forward_args);
}
void OnednnConv::backward_input() {
  impl_->run(impl_->backward_input, impl_->backward_input_args);
}
void OnednnConv::backward_weight() {
  impl_->run(impl_->backward_weight, impl_->backward_weight_args);
}

const Tensor& OnednnConv::y() const {
  return impl_->y;
}
const Tensor& OnednnConv::dx() const {
  return impl_->dx;
}

Tensor OnednnConv::dweight() const {
  const memory::dims dims = impl_->plain_weight.dims();
  Tensor result = Tensor::empty(Shape(std::span<const int64_t>(dims.data(), dims.size())));
  memory target = wrap(impl_->plain_weight, result);
  dnnl::reorder(impl_->dweight, target).execute(impl_->stream, impl_->dweight, target);
  impl_->stream.wait();
  return result;
}

}  // namespace kintsugi::bench

#else

namespace kintsugi::bench {

struct OnednnConv::Impl {};
bool OnednnConv::built_in() {
  return false;
}
OnednnConv::OnednnConv(const Tensor&, const Tensor&, const Tensor&, const ops::Conv2dParams&, int) {
  fail(ErrorKind::kMissing, "bench: oneDNN is not built in");
}
OnednnConv::~OnednnConv() = default;
void OnednnConv::forward() {}
void OnednnConv::backward_input() {}
void OnednnConv::backward_weight() {}
const Tensor& OnednnConv::y() const {
  fail(ErrorKind::kMissing, "bench: oneDNN is not built in");
}
const Tensor& OnednnConv::dx() const {
  return y();
}
Tensor OnednnConv::dweight() const {
  return y();
}

}  // namespace kintsugi::bench

#endif

#include "kintsugi/engine/program/draws.h"

#include "kintsugi/engine/core/context.h"

namespace kintsugi {

Tensor bernoulli(const Shape& shape, double p, DType dtype, Device device) {
  Context& context = Context::current();
  if (context.draws && context.draws->there_.defined()) return context.draws->next(shape, p, dtype);
  Tensor out = Tensor::empty(shape, dtype, device.type == DeviceType::kMeta ? kMeta : kCpu);
  context.generator.bernoulli(out, p);
  if (context.draws) {
    std::vector<Draws::Draw>& draws = context.draws->draws_;
    const int64_t at = draws.empty() ? 0 : draws.back().at + draws.back().count;
    draws.push_back({at, out.numel(), p, 0});
  }
  return out.to(device);
}

void Draws::begin_capture(Device device) {
  const int64_t total = draws_.empty() ? 0 : draws_.back().at + draws_.back().count;
  here_ = Tensor::empty({total});
  there_ = Tensor::empty({total}, DType::kF32, device);
  first_ = Context::current().generator.next();
}

Tensor Draws::next(const Shape& shape, double p, DType dtype) {
  Generator& generator = Context::current().generator;
  const bool known = taken_ < draws_.size() && dtype == DType::kF32 &&
                     draws_[taken_].count == shape.numel() && draws_[taken_].p == p;
  if (!known) {
    fail(ErrorKind::kDevice, "bernoulli: work that is captured drew other numbers than before");
  }
  Draw& draw = draws_[taken_++];
  draw.stream = generator.next() - first_;
  generator.set_next(generator.next() + 1);
  return there_.slice(0, draw.at, draw.at + draw.count).view(shape);
}

void Draws::end_capture() { streams_ = Context::current().generator.next() - first_; }

void Draws::renew() {
  if (draws_.empty()) return;
  Generator& generator = Context::current().generator;
  for (const Draw& draw : draws_) {
    Tensor part = here_.slice(0, draw.at, draw.at + draw.count);
    Generator(generator.seed(), generator.next() + draw.stream).bernoulli(part, draw.p);
  }
  generator.set_next(generator.next() + streams_);
  there_.copy_from(here_.to(there_.device()));
}

}  // namespace kintsugi

#include "kintsugi/autograd/ops/elementwise.h"

#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

Variable unary(ops::Unary op, const Variable& x) {
  const Tensor y = ops::unary(op, x.value());
  return differentiable(ops::name_of(op), y, {x}, [op, x = Saved(x.value()), y = Saved(y)](const Tensor& dy, const Wants&) {
    return Tensors{ops::unary_backward(op, x.get(), y.get(), dy)};
  });
}
Variable leaky_relu(const Variable& x, double s) {
  return differentiable("leaky_relu", ops::leaky_relu(x.value(), s), {x}, [s, x = Saved(x.value())](const Tensor& dy, const Wants&) { return Tensors{ops::leaky_relu_backward(x.get(), dy, s)}; });
}
Variable pow(const Variable& x, double p) {
  return differentiable("pow", ops::pow(x.value(), p), {x}, [p, x = Saved(x.value())](const Tensor& dy, const Wants&) { return Tensors{ops::pow_backward(x.get(), dy, p)}; });
}
Variable clamp(const Variable& x, double lo, double hi) {
  return differentiable("clamp", ops::clamp(x.value(), lo, hi), {x}, [=, x = Saved(x.value())](const Tensor& dy, const Wants&) { return Tensors{ops::clamp_backward(x.get(), dy, lo, hi)}; });
}
Variable affine(const Variable& x, double a, double b) {
  return differentiable("affine", ops::affine(x.value(), a, b), {x}, [a](const Tensor& dy, const Wants&) { return Tensors{ops::affine(dy, a, 0)}; });
}
Variable star_relu(const Variable& x, const Variable& s, const Variable& b) {
  return differentiable("star_relu", ops::star_relu(x.value(), s.value(), b.value()), {x, s, b}, [x = Saved(x.value()), s = Saved(s.value())](const Tensor& dy, const Wants&) {
    auto g = ops::star_relu_backward(x.get(), s.get(), dy);
    return Tensors{g.dx, g.dscale, g.dbias};
  });
}
Variable binary(ops::Binary op, const Variable& a, const Variable& b) {
  const Tensor y = ops::binary(op, a.value(), b.value());
  const bool reads = op != ops::Binary::kAdd && op != ops::Binary::kSub;
  const Saved sa = reads ? Saved(a.value()) : Saved(), sb = reads ? Saved(b.value()) : Saved();
  return differentiable(ops::name_of(op), y, {a, b}, [op, sa, sb, shape_a = a.shape(), shape_b = b.shape()](const Tensor& dy, const Wants& wants) {
    Tensor da, db;
    switch (op) {
      case ops::Binary::kAdd: da = dy; db = dy; break;
      case ops::Binary::kSub: da = dy; if (wants[1]) db = ops::unary(ops::Unary::kNeg, dy); break;
      case ops::Binary::kMul:
        if (wants[0]) da = ops::mul(dy, sb.get());
        if (wants[1]) db = ops::mul(dy, sa.get());
        break;
      case ops::Binary::kDiv:
        if (wants[0]) da = ops::div(dy, sb.get());
        if (wants[1]) db = ops::unary(ops::Unary::kNeg, ops::div(ops::mul(dy, sa.get()), ops::mul(sb.get(), sb.get())));
        break;
      default: {
        const bool max = op == ops::Binary::kMaximum;
        const Tensor zero = Tensor::zeros({}, dy.dtype(), dy.device());
        const Tensor first = ops::compare(max ? ops::Compare::kGreaterEqual : ops::Compare::kLessEqual, sa.get(), sb.get());
        da = ops::where(first, dy, zero);
        db = ops::where(first, zero, dy);
      }
    }
    return Tensors{wants[0] ? ops::sum_to(da, shape_a) : Tensor(), wants[1] ? ops::sum_to(db, shape_b) : Tensor()};
  });
}
Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
  const Tensor y = ops::where(condition, a.value(), b.value());
  return differentiable("where", y, {a, b}, [condition, shape_a = a.shape(), shape_b = b.shape()](const Tensor& dy, const Wants& wants) {
    const Tensor zero = Tensor::zeros({}, dy.dtype(), dy.device());
    return Tensors{wants[0] ? ops::sum_to(ops::where(condition, dy, zero), shape_a) : Tensor(),
                   wants[1] ? ops::sum_to(ops::where(condition, zero, dy), shape_b) : Tensor()};
  });
}

}  // namespace kintsugi::autograd

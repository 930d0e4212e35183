#include "kintsugi/autograd/ops/elementwise.h"

#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

namespace {

// Whether the slope is a function of the result alone, so that the operand need not be kept.
bool slope_reads_result(ops::Unary op) {
  switch (op) {
    case ops::Unary::kExp:
    case ops::Unary::kSqrt:
    case ops::Unary::kRsqrt:
    case ops::Unary::kReciprocal:
    case ops::Unary::kRelu:
    case ops::Unary::kSigmoid:
    case ops::Unary::kTanh:
    case ops::Unary::kRelu6:
      return true;
    default:
      return false;
  }
}

Tensor zero_like(const Tensor& x) {
  return Tensor::zeros({}, x.dtype(), x.device());
}

}  // namespace

Variable unary(ops::Unary op, const Variable& x) {
  const Tensor y = ops::unary(op, x.value());
  // Relu and Relu6 ask where they are in their range: the result answers as the operand does.
  const Saved saved = slope_reads_result(op) ? y : x.value();
  return differentiable(ops::name_of(op), y, {x}, [op, saved](const Tensor& dy, const Wants&) {
    return Tensors{ops::unary_backward(op, saved.get(), saved.get(), dy)};
  });
}

Variable leaky_relu(const Variable& x, double negative_slope) {
  return differentiable("leaky_relu", ops::leaky_relu(x.value(), negative_slope), {x},
                        [negative_slope, x = Saved(x.value())](const Tensor& dy, const Wants&) {
                          return Tensors{ops::leaky_relu_backward(x.get(), dy, negative_slope)};
                        });
}

Variable pow(const Variable& x, double exponent) {
  return differentiable("pow", ops::pow(x.value(), exponent), {x},
                        [exponent, x = Saved(x.value())](const Tensor& dy, const Wants&) {
                          return Tensors{ops::pow_backward(x.get(), dy, exponent)};
                        });
}

Variable clamp(const Variable& x, double low, double high) {
  return differentiable("clamp", ops::clamp(x.value(), low, high), {x},
                        [low, high, x = Saved(x.value())](const Tensor& dy, const Wants&) {
                          return Tensors{ops::clamp_backward(x.get(), dy, low, high)};
                        });
}

Variable affine(const Variable& x, double scale, double shift) {
  return differentiable(
      "affine", ops::affine(x.value(), scale, shift), {x},
      [scale](const Tensor& dy, const Wants&) { return Tensors{ops::affine(dy, scale, 0)}; });
}

Variable star_relu(const Variable& x, const Variable& scale, const Variable& bias) {
  return differentiable(
      "star_relu", ops::star_relu(x.value(), scale.value(), bias.value()), {x, scale, bias},
      [x = Saved(x.value()), scale = Saved(scale.value()), shape = bias.shape()](const Tensor& dy,
                                                                                 const Wants&) {
        ops::StarReluGrads grads = ops::star_relu_backward(x.get(), scale.get(), dy);
        return Tensors{grads.dx, grads.dscale, grads.dbias.view(shape)};
      });
}

namespace {

// db of a/b is -dy * y / b with y = a/b.
Tensor div_backward_b(const Tensor& dy, const Tensor& a, const Tensor& b) {
  return ops::unary(ops::Unary::kNeg, ops::div(ops::mul(dy, ops::div(a, b)), b));
}

// The gradient goes to the operand that was taken; equal ones get half each, as in PyTorch.
Tensor extremum_share(const Tensor& dy, const Tensor& mine, const Tensor& other, bool maximum) {
  using ops::Compare;
  const Compare wins = maximum ? Compare::kGreater : Compare::kLess;
  const Tensor rest = ops::where(ops::compare(Compare::kEqual, mine, other),
                                 ops::affine(dy, 0.5, 0), zero_like(dy));
  return ops::where(ops::compare(wins, mine, other), dy, rest);
}

}  // namespace

Variable binary(ops::Binary op, const Variable& a, const Variable& b) {
  using ops::Binary;
  const bool linear = op == Binary::kAdd || op == Binary::kSub;
  // A product's gradient reads only the other factor.
  const bool keep_a = !linear && (op != Binary::kMul || b.requires_grad());
  const bool keep_b = !linear && (op != Binary::kMul || a.requires_grad());
  return differentiable(
      ops::name_of(op), ops::binary(op, a.value(), b.value()), {a, b},
      [op, x = keep_a ? Saved(a.value()) : Saved(), y = keep_b ? Saved(b.value()) : Saved(),
       a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy, const Wants& wants) {
        Tensor da, db;
        switch (op) {
          case Binary::kAdd:
            da = db = dy;
            break;
          case Binary::kSub:
            da = dy;
            if (wants[1]) db = ops::unary(ops::Unary::kNeg, ops::sum_to(dy, b_shape));
            break;
          case Binary::kMul:
            if (wants[0]) da = ops::mul(dy, y.get());
            if (wants[1]) db = ops::mul(dy, x.get());
            break;
          case Binary::kDiv:
            if (wants[0]) da = ops::div(dy, y.get());
            if (wants[1]) db = div_backward_b(dy, x.get(), y.get());
            break;
          case Binary::kMaximum:
          case Binary::kMinimum: {
            const bool maximum = op == Binary::kMaximum;
            if (wants[0]) da = extremum_share(dy, x.get(), y.get(), maximum);
            if (wants[1]) db = extremum_share(dy, y.get(), x.get(), maximum);
            break;
          }
        }
        return Tensors{wants[0] ? ops::sum_to(da, a_shape) : Tensor(),
                       wants[1] ? ops::sum_to(db, b_shape) : Tensor()};
      });
}

Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
  return differentiable("where", ops::where(condition, a.value(), b.value()), {a, b},
                        [condition = Saved(condition), a_shape = a.shape(), b_shape = b.shape()](
                            const Tensor& dy, const Wants& wants) {
                          const Tensor zero = zero_like(dy);
                          Tensor da, db;
                          if (wants[0])
                            da = ops::sum_to(ops::where(condition.get(), dy, zero), a_shape);
                          if (wants[1])
                            db = ops::sum_to(ops::where(condition.get(), zero, dy), b_shape);
                          return Tensors{da, db};
                        });
}

}  // namespace kintsugi::autograd

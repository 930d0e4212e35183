#include "kintsugi/engine/ref/attention.h"

#include <cmath>
#include <limits>
#include <vector>

namespace kintsugi::ref {

namespace {

// The matrix (rows, columns) of one head.
template <class T>
struct Head {
  T* data;
  int64_t row, column;
  Head(const Tensor& x, int64_t b, int64_t h)
      : data(x.data<T>() + b * x.strides()[0] + h * x.strides()[1]),
        row(x.strides()[2]),
        column(x.strides()[3]) {}
  T& operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
};

template <class T>
double dot(const Head<T>& a, int64_t i, const Head<T>& b, int64_t j, int64_t size) {
  double sum = 0;
  for (int64_t d = 0; d < size; ++d) sum += double(a(i, d)) * b(j, d);
  return sum;
}

template <class T>
std::vector<double> scores(const Tensor& q, const Tensor& k, const Tensor& bias, double scale,
                           int64_t b, int64_t h, int64_t i) {
  const Head<T> queries(q, b, h), keys(k, b, h);
  std::vector<double> out;
  for (int64_t j = 0; j < k.size(2); ++j) {
    out.push_back(scale * dot(queries, i, keys, j, q.size(3)));
    if (bias.defined()) out.back() += Head<T>(bias, b, h)(i, j);
  }
  return out;
}

template <class Body>
void each_query(const Tensor& q, const Body& body) {
  for (int64_t b = 0; b < q.size(0); ++b) {
    for (int64_t h = 0; h < q.size(1); ++h) {
      for (int64_t i = 0; i < q.size(2); ++i) body(b, h, i);
    }
  }
}

}  // namespace

void attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp) {
  visit_floating("attention", q.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* lse = logsumexp.data<T>();
    each_query(q, [&](int64_t b, int64_t h, int64_t i) {
      std::vector<double> p = scores<T>(q, k, bias, scale, b, h, i);
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      for (const double s : p) largest = std::max(largest, s);
      for (double& s : p) sum += s = std::exp(s - largest);
      *lse++ = T(largest + std::log(sum));
      const Head<T> values(v, b, h), out(y, b, h);
      for (int64_t e = 0; e < v.size(3); ++e) {
        double total = 0;
        for (int64_t j = 0; j < v.size(2); ++j) total += p[size_t(j)] * values(j, e);
        out(i, e) = T(total / sum);
      }
    });
  });
}

void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias) {
  visit_floating("attention_backward", q.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (Tensor grad : {dq, dk, dv}) grad.fill(0);
    if (dbias.defined()) {  // broadcast elements are zeroed more than once
      each_query(q, [&](int64_t b, int64_t h, int64_t i) {
        for (int64_t j = 0; j < k.size(2); ++j) Head<T>(dbias, b, h)(i, j) = 0;
      });
    }
    const T* lse = logsumexp.data<T>();
    each_query(q, [&](int64_t b, int64_t h, int64_t i) {
      const std::vector<double> s = scores<T>(q, k, bias, scale, b, h, i);
      const double shift = *lse++;
      const Head<T> queries(q, b, h), keys(k, b, h), values(v, b, h), out(y, b, h), grad(dy, b, h);
      const Head<T> d_queries(dq, b, h), d_keys(dk, b, h), d_values(dv, b, h);
      const double delta = dot(grad, i, out, i, v.size(3));
      for (int64_t j = 0; j < k.size(2); ++j) {
        const double p = std::exp(s[size_t(j)] - shift);
        const double ds = p * (dot(grad, i, values, j, v.size(3)) - delta);
        if (dbias.defined()) Head<T>(dbias, b, h)(i, j) += T(ds);
        for (int64_t e = 0; e < v.size(3); ++e) d_values(j, e) += T(p * grad(i, e));
        for (int64_t d = 0; d < q.size(3); ++d) {
          d_queries(i, d) += T(scale * ds * keys(j, d));
          d_keys(j, d) += T(scale * ds * queries(i, d));
        }
      }
    });
  });
}

}  // namespace kintsugi::ref

#include "kintsugi/zoo/proxies/proxies.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "kintsugi/zoo/proxies/naswot.h"

namespace kintsugi::zoo {

namespace {

template <double (*F)(nn::Network&, const ProxyBatch&)>
double without_plan(nn::Network& network, const ProxyBatch& batch, const PlanFile*) {
  return F(network, batch);
}

double naswot_of(nn::Network& network, const ProxyBatch& batch) {
  return naswot(network, batch.images);
}
double ntk_of(nn::Network& network, const ProxyBatch& batch) {
  return ntk(network, batch);
}
double stitch_residual_of(nn::Network& network, const ProxyBatch& batch, const PlanFile* plan) {
  return stitch_residual(network, batch, *plan);
}

constexpr Proxy kProxies[] = {
    {"naswot", "Mellor et al. 2021", false, without_plan<naswot_of>},
    {"jacov", "Mellor et al. 2020", false, without_plan<jacov>},
    {"grad_norm", "Abdelfattah et al. 2021", false, without_plan<grad_norm>},
    {"snip", "Lee et al. 2019", false, without_plan<snip>},
    {"synflow", "Tanaka et al. 2020", false, without_plan<synflow>},
    {"fisher", "Theis et al. 2018", false, without_plan<fisher>},
    {"ntk", "Chen et al. 2021", false, without_plan<ntk_of>},
    {"stitch_residual", "kintsugi", true, stitch_residual_of},
};

}  // namespace

std::span<const Proxy> proxies() {
  return kProxies;
}

const Proxy& find_proxy(const std::string& name) {
  std::vector<std::string> names;
  for (const Proxy& proxy : kProxies) {
    if (proxy.name == name) return proxy;
    names.push_back(proxy.name);
  }
  fail(ErrorKind::kUsage, "proxy: there is no '", name, "'", did_you_mean(name, names));
}

std::vector<const Proxy*> proxies_named(const std::string& names) {
  std::vector<const Proxy*> named;
  if (names == "all") {
    for (const Proxy& proxy : kProxies) named.push_back(&proxy);
    return named;
  }
  std::istringstream words(names + ",");
  for (std::string name; std::getline(words, name, ',');) {
    const Proxy* proxy = &find_proxy(name);
    if (std::find(named.begin(), named.end(), proxy) != named.end()) {
      fail(ErrorKind::kUsage, "proxy: '", name, "' is there twice");
    }
    named.push_back(proxy);
  }
  return named;
}

double score(const Proxy& proxy, nn::Network& network, const ProxyBatch& batch,
             const PlanFile* plan) {
  if (proxy.needs_plan && !plan) {
    fail(ErrorKind::kUsage, proxy.name, ": needs a plan, and ", network.name(), " has none");
  }
  const double worst = -std::numeric_limits<double>::infinity();
  try {
    const double value = proxy.score(network, batch, plan);
    return std::isfinite(value) ? value : worst;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNumeric) throw;
    return worst;
  }
}

}  // namespace kintsugi::zoo

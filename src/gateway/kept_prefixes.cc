#include "gateway/kept_prefixes.h"

#include "base/log.h"

namespace bulkhead::gateway {

base::Task<void> burn_kept(Call& call, base::TenantId tenant, std::string session) {
  engine::BurnTarget target{std::move(tenant), std::move(session), call.id.str()};
  auto burned = co_await call.services.engine.burn_kept(std::move(target));
  if (burned) {
    call.record.burned = burned->verified();
    co_return;
  }
  call.record.burned = false;
  call.record.note = "kept_prefixes_not_burned";
  base::log::warning("kept_prefixes_not_burned", {{"request", std::string_view(call.id.str())},
                                                  {"error", burned.error().name().code},
                                                  {"detail", std::string_view(burned.error().detail())}});
}

}  // namespace bulkhead::gateway

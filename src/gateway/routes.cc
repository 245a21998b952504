#include "gateway/routes.h"

#include <algorithm>
#include <array>

#include "gateway/handlers.h"

namespace bulkhead::gateway {

namespace {

using access::Permission;
using audit::Event;
using enum http::Method;

constexpr std::size_t kUploadBytesMax = 64u << 20;

// A reader of this table sees who may do what. Keep it in the order of the documentation.
constexpr std::array kRoutes = {
    Route{Get, "/healthz", Audience::Public, Permission::ModelsRead, Effect::Reads, Event::RequestEnded,
          healthz},
    Route{Get, "/readyz", Audience::Public, Permission::ModelsRead, Effect::Reads, Event::RequestEnded,
          readyz},
    Route{Get, "/metrics", Audience::Operator, Permission::PlatformMetrics, Effect::Reads,
          Event::RequestEnded, metrics},

    Route{Get, "/v1/models", Audience::Tenant, Permission::ModelsRead, Effect::Reads, Event::RequestEnded,
          list_models},
    Route{Get, "/v1/models/{id}", Audience::Tenant, Permission::ModelsRead, Effect::Reads,
          Event::RequestEnded, get_model},
    Route{Post, "/v1/chat/completions", Audience::Tenant, Permission::ChatCreate, Effect::Computes,
          Event::RequestEnded, create_chat, 4u << 20, true},
    Route{Get, "/v1/chat/completions", Audience::Tenant, Permission::ChatRead, Effect::Reads,
          Event::RequestEnded, list_chats},
    Route{Get, "/v1/chat/completions/{id}", Audience::Tenant, Permission::ChatRead, Effect::Reads,
          Event::RequestEnded, get_chat},
    Route{Get, "/v1/chat/completions/{id}/messages", Audience::Tenant, Permission::ChatRead, Effect::Reads,
          Event::RequestEnded, get_chat_messages},
    Route{Delete, "/v1/chat/completions/{id}", Audience::Tenant, Permission::ChatDelete, Effect::Changes,
          Event::ChatDeleted, delete_chat},
    Route{Post, "/v1/completions", Audience::Tenant, Permission::ChatCreate, Effect::Computes,
          Event::RequestEnded, create_completion, 4u << 20, true},
    Route{Post, "/v1/embeddings", Audience::Tenant, Permission::EmbeddingsCreate, Effect::Computes,
          Event::RequestEnded, create_embeddings, 4u << 20, true},
    Route{Post, "/v1/rerank", Audience::Tenant, Permission::RerankCreate, Effect::Computes,
          Event::RequestEnded, create_rerank, 4u << 20, true},

    Route{Post, "/v1/files", Audience::Tenant, Permission::FilesWrite, Effect::Changes, Event::FileUploaded,
          create_file, kUploadBytesMax},
    Route{Get, "/v1/files", Audience::Tenant, Permission::FilesRead, Effect::Reads, Event::RequestEnded,
          list_files},
    Route{Get, "/v1/files/{id}", Audience::Tenant, Permission::FilesRead, Effect::Reads, Event::RequestEnded,
          get_file},
    Route{Get, "/v1/files/{id}/content", Audience::Tenant, Permission::FilesRead, Effect::Reads,
          Event::FileRead, get_file_content},
    Route{Delete, "/v1/files/{id}", Audience::Tenant, Permission::FilesWrite, Effect::Changes,
          Event::FileDeleted, delete_file},
    Route{Put, "/v1/bulkhead/files/{id}/access", Audience::Tenant, Permission::FilesWrite, Effect::Changes,
          Event::StoreChanged, set_file_access},

    Route{Post, "/v1/vector_stores", Audience::Tenant, Permission::StoresWrite, Effect::Changes,
          Event::StoreChanged, create_vector_store},
    Route{Get, "/v1/vector_stores", Audience::Tenant, Permission::StoresRead, Effect::Reads,
          Event::RequestEnded, list_vector_stores},
    Route{Get, "/v1/vector_stores/{id}", Audience::Tenant, Permission::StoresRead, Effect::Reads,
          Event::RequestEnded, get_vector_store},
    Route{Post, "/v1/vector_stores/{id}", Audience::Tenant, Permission::StoresWrite, Effect::Changes,
          Event::StoreChanged, update_vector_store},
    Route{Delete, "/v1/vector_stores/{id}", Audience::Tenant, Permission::StoresWrite, Effect::Changes,
          Event::StoreChanged, delete_vector_store},
    Route{Post, "/v1/vector_stores/{id}/search", Audience::Tenant, Permission::StoresRead, Effect::Computes,
          Event::Search, search_vector_store, 1u << 20, true},
    Route{Post, "/v1/vector_stores/{id}/files", Audience::Tenant, Permission::StoresWrite, Effect::Changes,
          Event::StoreChanged, attach_file},
    Route{Get, "/v1/vector_stores/{id}/files", Audience::Tenant, Permission::StoresRead, Effect::Reads,
          Event::RequestEnded, list_attached_files},
    Route{Get, "/v1/vector_stores/{id}/files/{id}", Audience::Tenant, Permission::StoresRead, Effect::Reads,
          Event::RequestEnded, get_attached_file},
    Route{Delete, "/v1/vector_stores/{id}/files/{id}", Audience::Tenant, Permission::StoresWrite,
          Effect::Changes, Event::StoreChanged, detach_file},

    Route{Get, "/v1/bulkhead/tenant", Audience::Tenant, Permission::TenantRead, Effect::Reads,
          Event::RequestEnded, get_own_tenant},
    Route{Post, "/v1/bulkhead/api_keys", Audience::Tenant, Permission::KeysManage, Effect::Changes,
          Event::ApiKeyCreated, create_api_key},
    Route{Get, "/v1/bulkhead/api_keys", Audience::Tenant, Permission::KeysManage, Effect::Reads,
          Event::RequestEnded, list_api_keys},
    Route{Delete, "/v1/bulkhead/api_keys/{id}", Audience::Tenant, Permission::KeysManage, Effect::Changes,
          Event::ApiKeyRevoked, revoke_api_key},
    Route{Post, "/v1/bulkhead/erasures", Audience::Tenant, Permission::DataErase, Effect::Changes,
          Event::DataErased, erase_data},
    Route{Get, "/v1/bulkhead/erasures", Audience::Tenant, Permission::DataErase, Effect::Reads,
          Event::RequestEnded, list_erasures},
    Route{Get, "/v1/bulkhead/audit", Audience::Tenant, Permission::AuditRead, Effect::Reads, Event::AuditRead,
          query_own_audit},
    Route{Delete, "/v1/bulkhead/session", Audience::Tenant, Permission::ChatCreate, Effect::Changes,
          Event::SessionEnded, end_session},
    Route{Get, "/v1/bulkhead/receipts/{id}", Audience::Tenant, Permission::ReceiptsRead, Effect::Reads,
          Event::RequestEnded, get_receipt},

    Route{Post, "/admin/tenants", Audience::Operator, Permission::PlatformTenants, Effect::Changes,
          Event::TenantCreated, admin_create_tenant},
    Route{Get, "/admin/tenants", Audience::Operator, Permission::PlatformTenants, Effect::Reads,
          Event::RequestEnded, admin_list_tenants},
    Route{Get, "/admin/tenants/{id}", Audience::Operator, Permission::PlatformTenants, Effect::Reads,
          Event::RequestEnded, admin_get_tenant},
    Route{Put, "/admin/tenants/{id}/policy", Audience::Operator, Permission::PlatformTenants, Effect::Changes,
          Event::TenantChanged, admin_set_policy},
    Route{Post, "/admin/tenants/{id}/suspend", Audience::Operator, Permission::PlatformTenants,
          Effect::Changes, Event::TenantSuspended, admin_suspend_tenant},
    Route{Post, "/admin/tenants/{id}/resume", Audience::Operator, Permission::PlatformTenants,
          Effect::Changes, Event::TenantResumed, admin_resume_tenant},
    Route{Delete, "/admin/tenants/{id}", Audience::Operator, Permission::PlatformTenants, Effect::Changes,
          Event::TenantDestroyed, admin_destroy_tenant},
    Route{Post, "/admin/tenants/{id}/erasures", Audience::Operator, Permission::PlatformTenants,
          Effect::Changes, Event::DataErased, admin_erase_data},
    Route{Get, "/admin/tenants/{id}/erasures", Audience::Operator, Permission::PlatformTenants, Effect::Reads,
          Event::RequestEnded, admin_list_erasures},
    Route{Post, "/admin/tenants/{id}/backup", Audience::Operator, Permission::PlatformTenants,
          Effect::Changes, Event::TenantBackedUp, admin_backup_tenant},
    Route{Post, "/admin/tenants/{id}/move", Audience::Operator, Permission::PlatformTenants, Effect::Changes,
          Event::TenantMoveStarted, admin_move_tenant},
    Route{Delete, "/admin/tenants/{id}/move", Audience::Operator, Permission::PlatformTenants,
          Effect::Changes, Event::TenantChanged, admin_cancel_move},
    Route{Get, "/admin/tenants/{id}/moves", Audience::Operator, Permission::PlatformTenants, Effect::Reads,
          Event::RequestEnded, admin_list_moves},
    Route{Post, "/admin/restore", Audience::Operator, Permission::PlatformTenants, Effect::Changes,
          Event::TenantRestored, admin_restore_tenant},
    Route{Post, "/admin/keys/rotate", Audience::Operator, Permission::PlatformKeys, Effect::Changes,
          Event::PlatformKeyRotated, admin_rotate_keys},
    Route{Get, "/admin/tenants/{id}/posture", Audience::Operator, Permission::PlatformAudit, Effect::Reads,
          Event::RequestEnded, admin_tenant_posture},
    Route{Get, "/admin/posture", Audience::Operator, Permission::PlatformAudit, Effect::Reads,
          Event::RequestEnded, admin_posture},
    Route{Post, "/admin/tenants/{id}/keys/rotate", Audience::Operator, Permission::PlatformKeys,
          Effect::Changes, Event::KeyRotationStarted, admin_rotate_tenant_keys},
    Route{Get, "/admin/models", Audience::Operator, Permission::PlatformModels, Effect::Reads,
          Event::RequestEnded, admin_list_models},
    Route{Post, "/admin/models", Audience::Operator, Permission::PlatformModels, Effect::Changes,
          Event::ModelAdded, admin_add_model},
    Route{Post, "/admin/models/{id}/replace", Audience::Operator, Permission::PlatformModels, Effect::Changes,
          Event::ModelReplaced, admin_replace_model},
    Route{Post, "/admin/models/{id}/share", Audience::Operator, Permission::PlatformModels, Effect::Changes,
          Event::ModelShareSet, admin_set_model_share},
    Route{Delete, "/admin/models/{id}", Audience::Operator, Permission::PlatformModels, Effect::Changes,
          Event::ModelRemoved, admin_remove_model},
    Route{Get, "/admin/audit", Audience::Operator, Permission::PlatformAudit, Effect::Reads, Event::AuditRead,
          admin_query_audit},
};

// Events that say of a request only that it was answered.
constexpr bool is_change(Event event) {
  return event != Event::RequestEnded && event != Event::FileRead && event != Event::Search &&
         event != Event::AuditRead;
}

// A route that changes something can't be declared as one that doesn't, by oversight or otherwise.
constexpr bool declared_truly(const Route& route) {
  switch (route.effect) {
    case Effect::Reads: return route.method == Get && !is_change(route.event);
    case Effect::Computes: return route.method == Post && !is_change(route.event);
    case Effect::Changes: return route.method != Get && is_change(route.event);
  }
  return false;
}
static_assert(std::all_of(kRoutes.begin(), kRoutes.end(), declared_truly));

std::string_view next_segment(std::string_view& path) {
  path.remove_prefix(1);  // the slash
  std::size_t slash = path.find('/');
  std::string_view segment = path.substr(0, slash);
  path.remove_prefix(slash == std::string_view::npos ? path.size() : slash);
  return segment;
}

bool matches(std::string_view pattern, std::string_view path, std::vector<std::string>& captures) {
  captures.clear();
  while (pattern.starts_with('/') && path.starts_with('/')) {
    std::string_view want = next_segment(pattern);
    std::string_view have = next_segment(path);
    if (want == "{id}") {
      if (have.empty()) return false;
      captures.emplace_back(have);
    } else if (want != have) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

RouteMatch match_route(http::Method method, std::string_view path) {
  RouteMatch found;
  std::vector<std::string> captures;
  for (const Route& route : kRoutes) {
    if (!matches(route.pattern, path, captures)) continue;
    found.path_known = true;
    if (route.method != method) continue;
    found.route = &route;
    found.captures = std::move(captures);
    return found;
  }
  return found;
}

}  // namespace bulkhead::gateway

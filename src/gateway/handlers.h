// The handlers behind the route table, by area.
#pragma once

#include "gateway/call.h"

namespace bulkhead::gateway {

using HandlerResult = base::Task<base::Result<Reply>>;

// health_handlers.cc
HandlerResult healthz(Call& call);
HandlerResult readyz(Call& call);
HandlerResult metrics(Call& call);

// model_handlers.cc
HandlerResult list_models(Call& call);
HandlerResult get_model(Call& call);
HandlerResult create_embeddings(Call& call);

// rerank_handlers.cc
HandlerResult create_rerank(Call& call);

// chat_handlers.cc
HandlerResult create_chat(Call& call);

// completion_handlers.cc
HandlerResult create_completion(Call& call);

// session_handlers.cc
HandlerResult end_session(Call& call);

// kept_chat_handlers.cc
HandlerResult list_chats(Call& call);
HandlerResult get_chat(Call& call);
HandlerResult get_chat_messages(Call& call);
HandlerResult delete_chat(Call& call);

// file_handlers.cc
HandlerResult create_file(Call& call);
HandlerResult list_files(Call& call);
HandlerResult get_file(Call& call);
HandlerResult get_file_content(Call& call);
HandlerResult delete_file(Call& call);
HandlerResult set_file_access(Call& call);

// vector_store_handlers.cc
HandlerResult create_vector_store(Call& call);
HandlerResult list_vector_stores(Call& call);
HandlerResult get_vector_store(Call& call);
HandlerResult update_vector_store(Call& call);
HandlerResult delete_vector_store(Call& call);
HandlerResult search_vector_store(Call& call);
HandlerResult attach_file(Call& call);
HandlerResult list_attached_files(Call& call);
HandlerResult get_attached_file(Call& call);
HandlerResult detach_file(Call& call);

// tenant_handlers.cc: a tenant's own affairs
HandlerResult get_own_tenant(Call& call);
HandlerResult create_api_key(Call& call);
HandlerResult list_api_keys(Call& call);
HandlerResult revoke_api_key(Call& call);
HandlerResult query_own_audit(Call& call);
HandlerResult get_receipt(Call& call);

// admin_handlers.cc: the operator's
HandlerResult admin_create_tenant(Call& call);
HandlerResult admin_list_tenants(Call& call);
HandlerResult admin_get_tenant(Call& call);
HandlerResult admin_set_policy(Call& call);
HandlerResult admin_suspend_tenant(Call& call);
HandlerResult admin_resume_tenant(Call& call);
HandlerResult admin_destroy_tenant(Call& call);
HandlerResult admin_query_audit(Call& call);

// posture_handlers.cc
HandlerResult admin_posture(Call& call);
HandlerResult admin_tenant_posture(Call& call);

// model_admin_handlers.cc
HandlerResult admin_list_models(Call& call);
HandlerResult admin_add_model(Call& call);
HandlerResult admin_replace_model(Call& call);
HandlerResult admin_set_model_share(Call& call);
HandlerResult admin_remove_model(Call& call);

// erasure_handlers.cc
HandlerResult erase_data(Call& call);
HandlerResult list_erasures(Call& call);
HandlerResult admin_erase_data(Call& call);
HandlerResult admin_list_erasures(Call& call);

// backup_handlers.cc
HandlerResult admin_backup_tenant(Call& call);
HandlerResult admin_restore_tenant(Call& call);

// move_handlers.cc
HandlerResult admin_move_tenant(Call& call);
HandlerResult admin_cancel_move(Call& call);
HandlerResult admin_list_moves(Call& call);

// key_handlers.cc
HandlerResult admin_rotate_keys(Call& call);
HandlerResult admin_rotate_tenant_keys(Call& call);

}  // namespace bulkhead::gateway

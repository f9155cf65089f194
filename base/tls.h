/* TLS 1.3 with certificates of the scheduler's own authority (OpenSSL).
 *
 *   scheduler: ebb_tls_authority_open(dir)      CA key (0600) and certificate, P-256, made once
 *   agent:     ebb_tls_request(...)             private key stays on the VM, CSR goes out
 *   scheduler: ebb_tls_authority_sign(csr, cn)  a certificate for one VM, clientAuth
 *   agent:     ebb_tls_client_context(...)
 *
 * A context from ebb_tls_server_context asks for a client certificate but lets a client without
 * one connect; ebb_tls_peer_name tells which, so that only Join is accepted from it. */
#ifndef EBB_BASE_TLS_H
#define EBB_BASE_TLS_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct ssl_ctx_st;
struct ssl_st;
struct ebb_tls_authority;

int ebb_tls_authority_open(const char *directory, struct ebb_tls_authority **ret,
                           struct ebb_error *err);
void ebb_tls_authority_destroy(struct ebb_tls_authority *a);
const char *ebb_tls_authority_certificate(const struct ebb_tls_authority *a); /* PEM */
/* Signs a PEM CSR for `name` (the CSR's own subject is ignored), valid for `days`. */
int ebb_tls_authority_sign(struct ebb_tls_authority *a, const char *csr_pem, const char *name,
                           int days, struct ebb_buffer *ret_pem, struct ebb_error *err);
int ebb_tls_request(struct ebb_buffer *ret_key_pem, struct ebb_buffer *ret_csr_pem,
                    struct ebb_error *err);

/* Server with a certificate of the authority for `host_name` ("ebb-scheduler"). */
int ebb_tls_server_context(struct ebb_tls_authority *a, const char *host_name,
                           struct ssl_ctx_st **ret, struct ebb_error *err);
/* Client that trusts `authority_pem` alone; certificate and key may be NULL (join). */
int ebb_tls_client_context(const char *authority_pem, const char *certificate_pem,
                           const char *key_pem, struct ssl_ctx_st **ret, struct ebb_error *err);
void ebb_tls_context_destroy(struct ssl_ctx_st *c);
/* The verified peer certificate's common name into `out`; EBB_ERR_DENIED when it showed none. */
int ebb_tls_peer_name(struct ssl_st *ssl, char *out, size_t size, struct ebb_error *err);

#endif

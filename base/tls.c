/* The scheduler's certificate authority and the TLS contexts on both sides.
 *
 * P-256 keys throughout: fast to sign with on a VM that has just booted. The authority's key and
 * certificate are written once and kept; the server's own key lives in memory and is made anew at
 * each start, since clients trust the authority and check the name. No session tickets: a
 * connection lives long, and a resumed session would not show the certificate again. */
#include "base/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"

#define MAX_PEM_BYTES   ((size_t)64 << 10)
#define MAX_NAME_BYTES  64 /* X.520's limit of a common name */
#define AUTHORITY_DAYS  3650
#define SERVER_DAYS     730
#define CLOCK_SKEW_S    3600 /* certificates begin earlier, for VMs whose clock is behind */
#define READ_BUFFER_LEN 65536

struct ebb_tls_authority {
    EVP_PKEY *key;
    X509 *certificate;
    struct ebb_buffer pem;
};

EBB_DEFINE_AUTO_PTR(auto_key, EVP_PKEY, EVP_PKEY_free)
EBB_DEFINE_AUTO_PTR(auto_x509, X509, X509_free)
EBB_DEFINE_AUTO_PTR(auto_request, X509_REQ, X509_REQ_free)
EBB_DEFINE_AUTO_PTR(auto_bio, BIO, BIO_free_all)
EBB_DEFINE_AUTO_PTR(auto_context, SSL_CTX, SSL_CTX_free)
EBB_DEFINE_AUTO_PTR(auto_authority, struct ebb_tls_authority, ebb_tls_authority_destroy)

/* OpenSSL's first reason goes into the message; its queue is left empty. */
static int fail(struct ebb_error *err, int code, const char *what)
{
    char reason[256] = "no reason given";
    unsigned long e = ERR_peek_error();
    if (e != 0)
        ERR_error_string_n(e, reason, sizeof reason);
    ERR_clear_error();
    return ebb_error_set(err, code, "%s: %s", what, reason);
}

/* ---- PEM in and out ---- */

static void take_bio(BIO *bio, struct ebb_buffer *out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    if (len > 0)
        ebb_buffer_append(out, data, (size_t)len);
}

static int key_to_pem(EVP_PKEY *key, struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO(auto_bio) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return fail(err, EBB_ERR_INTERNAL, "cannot write a private key");
    take_bio(bio, out);
    return 0;
}

static int certificate_to_pem(X509 *x, struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO(auto_bio) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || !PEM_write_bio_X509(bio, x))
        return fail(err, EBB_ERR_INTERNAL, "cannot write a certificate");
    take_bio(bio, out);
    return 0;
}

static int no_password(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1; /* an encrypted key must not make OpenSSL ask on the terminal */
}

static BIO *open_pem(const char *pem, size_t len)
{
    return len == 0 || len > MAX_PEM_BYTES ? NULL : BIO_new_mem_buf(pem, (int)len);
}

static EVP_PKEY *key_from_pem(const char *pem, size_t len)
{
    EBB_AUTO(auto_bio) BIO *bio = open_pem(pem, len);
    return bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
}

static X509 *certificate_from_pem(const char *pem, size_t len)
{
    EBB_AUTO(auto_bio) BIO *bio = open_pem(pem, len);
    return bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_password, NULL);
}

/* ---- certificates ---- */

struct certificate_spec {
    const char *name;
    const char *alternative_name; /* "DNS:...", or NULL */
    const char *usage;
    const char *extended_usage; /* NULL for the authority */
    const char *basic_constraints;
    int days;
};

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e != NULL && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_name(X509_NAME *n, const char *common_name)
{
    return X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                      -1, -1, 0) == 1;
}

static bool set_serial(X509 *x)
{
    unsigned char bytes[16];
    ebb_random_secret(bytes, sizeof bytes);
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, full length */
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return ok;
}

static bool fill_certificate(X509 *x, const struct certificate_spec *spec, EVP_PKEY *subject_key,
                             X509 *issuer)
{
    return X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
           X509_gmtime_adj(X509_getm_notBefore(x), -CLOCK_SKEW_S) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(x), spec->days, 0, NULL) != NULL &&
           set_name(X509_get_subject_name(x), spec->name) &&
           X509_set_issuer_name(x, X509_get_subject_name(issuer)) &&
           X509_set_pubkey(x, subject_key) &&
           add_extension(x, issuer, NID_basic_constraints, spec->basic_constraints) &&
           add_extension(x, issuer, NID_key_usage, spec->usage) &&
           add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
           (issuer == x ||
            add_extension(x, issuer, NID_authority_key_identifier, "keyid:always")) &&
           (spec->extended_usage == NULL ||
            add_extension(x, issuer, NID_ext_key_usage, spec->extended_usage)) &&
           (spec->alternative_name == NULL ||
            add_extension(x, issuer, NID_subject_alt_name, spec->alternative_name));
}

/* `issuer` NULL: self-signed. */
static int make_certificate(const struct certificate_spec *spec, EVP_PKEY *subject_key,
                            X509 *issuer, EVP_PKEY *issuer_key, X509 **ret, struct ebb_error *err)
{
    EBB_AUTO(auto_x509) X509 *x = X509_new();
    if (x == NULL || !fill_certificate(x, spec, subject_key, issuer != NULL ? issuer : x) ||
        X509_sign(x, issuer_key, EVP_sha256()) == 0)
        return fail(err, EBB_ERR_INTERNAL, "cannot make a certificate");
    *ret = EBB_TAKE(x);
    return 0;
}

static bool is_dns_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == len;
}

static int check_name(const char *name, struct ebb_error *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > MAX_NAME_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "a certificate's name has 1 to %d bytes, this one %zu", MAX_NAME_BYTES,
                             len);
    for (const char *c = name; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "a certificate's name has printable ASCII characters only");
    }
    return 0;
}

/* A certificate of the authority for `name`. */
static int issue(struct ebb_tls_authority *a, EVP_PKEY *key, const char *name, const char *usage,
                 int days, X509 **ret, struct ebb_error *err)
{
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    EBB_AUTO_FREE char *alternative = is_dns_name(name) ? ebb_sprintf("DNS:%s", name) : NULL;
    struct certificate_spec spec = {.name = name,
                                    .alternative_name = alternative,
                                    .usage = "critical,digitalSignature",
                                    .extended_usage = usage,
                                    .basic_constraints = "critical,CA:FALSE",
                                    .days = days};
    return make_certificate(&spec, key, a->certificate, a->key, ret, err);
}

/* ---- the authority ---- */

/* *ret stays NULL when there is no such file. */
static int load_key(const char *path, EVP_PKEY **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer pem = {0};
    if (!ebb_file_exists(path))
        return 0;
    int rc = ebb_file_read(path, MAX_PEM_BYTES, &pem, err);
    if (rc < 0)
        return rc;
    *ret = key_from_pem(ebb_buffer_text(&pem), pem.len);
    OPENSSL_cleanse(pem.data, pem.len);
    if (*ret == NULL) {
        ERR_clear_error();
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s holds no private key", path);
    }
    return 0;
}

static int make_key(const char *path, EVP_PKEY **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer pem = {0};
    EBB_AUTO(auto_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return fail(err, EBB_ERR_INTERNAL, "cannot make a key");
    int rc = key_to_pem(key, &pem, err);
    if (rc == 0)
        rc = ebb_file_write_atomic(path, pem.data, pem.len, 0600, err);
    OPENSSL_cleanse(pem.data, pem.len);
    if (rc < 0)
        return rc;
    *ret = EBB_TAKE(key);
    return 0;
}

static int make_authority_certificate(struct ebb_tls_authority *a, const char *path,
                                      struct ebb_error *err)
{
    char id[17];
    EBB_AUTO_FREE char *name = ebb_sprintf("ebb authority %s", ebb_random_hex(id, 8));
    struct certificate_spec spec = {.name = name,
                                    .usage = "critical,keyCertSign,cRLSign",
                                    .basic_constraints = "critical,CA:TRUE,pathlen:0",
                                    .days = AUTHORITY_DAYS};
    int rc = make_certificate(&spec, a->key, NULL, a->key, &a->certificate, err);
    if (rc == 0)
        rc = certificate_to_pem(a->certificate, &a->pem, err);
    if (rc == 0)
        rc = ebb_file_write_atomic(path, a->pem.data, a->pem.len, 0644, err);
    return rc;
}

static int load_authority_certificate(struct ebb_tls_authority *a, const char *path,
                                      struct ebb_error *err)
{
    int rc = ebb_file_read(path, MAX_PEM_BYTES, &a->pem, err);
    if (rc < 0)
        return rc;
    a->certificate = certificate_from_pem(ebb_buffer_text(&a->pem), a->pem.len);
    if (a->certificate == NULL || X509_check_private_key(a->certificate, a->key) != 1) {
        ERR_clear_error();
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s does not belong to the key beside it", path);
    }
    return 0;
}

/* The key is written first: with a key and no certificate a crash has come between, and the
 * certificate is made for the key that is there. */
int ebb_tls_authority_open(const char *directory, struct ebb_tls_authority **ret,
                           struct ebb_error *err)
{
    EBB_AUTO_FREE char *key_path = ebb_path_join(directory, "ca.key");
    EBB_AUTO_FREE char *certificate_path = ebb_path_join(directory, "ca.crt");
    EBB_AUTO(auto_authority) struct ebb_tls_authority *a = ebb_alloc(sizeof *a);
    int rc = ebb_mkdir_p(directory, 0700, err);
    if (rc == 0)
        rc = load_key(key_path, &a->key, err);
    if (rc == 0 && a->key == NULL && ebb_file_exists(certificate_path))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s is there, but its key %s is not",
                           certificate_path, key_path);
    if (rc == 0 && a->key == NULL)
        rc = make_key(key_path, &a->key, err);
    if (rc == 0)
        rc = ebb_file_exists(certificate_path)
                 ? load_authority_certificate(a, certificate_path, err)
                 : make_authority_certificate(a, certificate_path, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "certificate authority in %s", directory);
    *ret = EBB_TAKE(a);
    return 0;
}

void ebb_tls_authority_destroy(struct ebb_tls_authority *a)
{
    if (a == NULL)
        return;
    EVP_PKEY_free(a->key);
    X509_free(a->certificate);
    ebb_buffer_clean_up(&a->pem);
    free(a);
}

const char *ebb_tls_authority_certificate(const struct ebb_tls_authority *a)
{
    return ebb_buffer_text(&a->pem);
}

static bool is_p256(EVP_PKEY *key)
{
    char group[32] = "";
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

int ebb_tls_authority_sign(struct ebb_tls_authority *a, const char *csr_pem, const char *name,
                           int days, struct ebb_buffer *ret_pem, struct ebb_error *err)
{
    EBB_AUTO(auto_bio) BIO *bio = open_pem(csr_pem, strlen(csr_pem));
    EBB_AUTO(auto_request)
    X509_REQ *request = bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, no_password, NULL);
    if (request == NULL)
        return fail(err, EBB_ERR_INPUT, "not a certificate request");
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    if (key == NULL || !is_p256(key))
        return fail(err, EBB_ERR_INPUT, "a certificate request needs a P-256 key");
    if (X509_REQ_verify(request, key) != 1)
        return fail(err, EBB_ERR_INPUT, "the certificate request is not signed by its key");
    EBB_AUTO(auto_x509) X509 *x = NULL;
    int rc = issue(a, key, name, "clientAuth", days, &x, err);
    return rc < 0 ? rc : certificate_to_pem(x, ret_pem, err);
}

int ebb_tls_request(struct ebb_buffer *ret_key_pem, struct ebb_buffer *ret_csr_pem,
                    struct ebb_error *err)
{
    EBB_AUTO(auto_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    EBB_AUTO(auto_request) X509_REQ *request = X509_REQ_new();
    EBB_AUTO(auto_bio) BIO *bio = BIO_new(BIO_s_mem());
    if (key == NULL || request == NULL || bio == NULL || !X509_REQ_set_version(request, 0) ||
        !set_name(X509_REQ_get_subject_name(request), "ebb-agent") ||
        !X509_REQ_set_pubkey(request, key) || X509_REQ_sign(request, key, EVP_sha256()) == 0 ||
        !PEM_write_bio_X509_REQ(bio, request))
        return fail(err, EBB_ERR_INTERNAL, "cannot make a certificate request");
    int rc = key_to_pem(key, ret_key_pem, err);
    if (rc < 0)
        return rc;
    take_bio(bio, ret_csr_pem);
    return 0;
}

/* ---- contexts ---- */

static SSL_CTX *new_context(const SSL_METHOD *method, X509 *trusted)
{
    EBB_AUTO(auto_context) SSL_CTX *c = SSL_CTX_new(method);
    if (c == NULL || !SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) ||
        !X509_STORE_add_cert(SSL_CTX_get_cert_store(c), trusted) ||
        !SSL_CTX_set1_groups_list(c, "X25519:P-256"))
        return NULL;
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    /* One read() a burst instead of two a record; readers must drain until WANT_READ. */
    SSL_CTX_set_read_ahead(c, 1);
    SSL_CTX_set_default_read_buffer_len(c, READ_BUFFER_LEN);
    return EBB_TAKE(c);
}

int ebb_tls_server_context(struct ebb_tls_authority *a, const char *host_name,
                           struct ssl_ctx_st **ret, struct ebb_error *err)
{
    EBB_AUTO(auto_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return fail(err, EBB_ERR_INTERNAL, "cannot make a key");
    EBB_AUTO(auto_x509) X509 *x = NULL;
    int rc = issue(a, key, host_name, "serverAuth", SERVER_DAYS, &x, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(auto_context) SSL_CTX *c = new_context(TLS_server_method(), a->certificate);
    if (c == NULL || !SSL_CTX_use_certificate(c, x) || !SSL_CTX_use_PrivateKey(c, key) ||
        !SSL_CTX_add_client_CA(c, a->certificate))
        return fail(err, EBB_ERR_INTERNAL, "cannot set up TLS");
    *ret = EBB_TAKE(c);
    return 0;
}

static int use_certificate(SSL_CTX *c, const char *certificate_pem, const char *key_pem,
                           struct ebb_error *err)
{
    EBB_AUTO(auto_x509) X509 *x = certificate_from_pem(certificate_pem, strlen(certificate_pem));
    EBB_AUTO(auto_key) EVP_PKEY *key = key_from_pem(key_pem, strlen(key_pem));
    if (x == NULL || key == NULL)
        return fail(err, EBB_ERR_INPUT, "the client's certificate or key cannot be read");
    if (!SSL_CTX_use_certificate(c, x) || !SSL_CTX_use_PrivateKey(c, key) ||
        !SSL_CTX_check_private_key(c))
        return fail(err, EBB_ERR_INPUT, "the client's certificate does not belong to its key");
    return 0;
}

int ebb_tls_client_context(const char *authority_pem, const char *certificate_pem,
                           const char *key_pem, struct ssl_ctx_st **ret, struct ebb_error *err)
{
    EBB_AUTO(auto_x509) X509 *trusted = certificate_from_pem(authority_pem, strlen(authority_pem));
    if (trusted == NULL)
        return fail(err, EBB_ERR_INPUT, "the authority's certificate cannot be read");
    EBB_AUTO(auto_context) SSL_CTX *c = new_context(TLS_client_method(), trusted);
    if (c == NULL)
        return fail(err, EBB_ERR_INTERNAL, "cannot set up TLS");
    if (certificate_pem != NULL && key_pem != NULL) {
        int rc = use_certificate(c, certificate_pem, key_pem, err);
        if (rc < 0)
            return rc;
    }
    *ret = EBB_TAKE(c);
    return 0;
}

void ebb_tls_context_destroy(struct ssl_ctx_st *c)
{
    SSL_CTX_free(c);
}

int ebb_tls_peer_name(struct ssl_st *ssl, char *out, size_t size, struct ebb_error *err)
{
    X509 *x = ssl == NULL ? NULL : SSL_get0_peer_certificate(ssl);
    if (x == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return ebb_error_set(err, EBB_ERR_DENIED, "the peer showed no certificate");
    X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *name = NULL;
    int len = at < 0 ? -1
                     : ASN1_STRING_to_UTF8(
                           &name, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool usable = len > 0 && (size_t)len < size && memchr(name, '\0', (size_t)len) == NULL;
    if (usable) {
        memcpy(out, name, (size_t)len);
        out[len] = '\0';
    }
    OPENSSL_free(name);
    if (!usable)
        return ebb_error_set(err, EBB_ERR_DENIED, "the peer's certificate carries no usable name");
    return 0;
}

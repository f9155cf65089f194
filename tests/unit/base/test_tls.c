/* The authority, certificates of VMs, and who is let in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/tls.h"

struct fixture {
    char directory[64];
    struct ebb_tls_authority *authority;
    struct ssl_ctx_st *server;
};

static struct ebb_tls_authority *open_authority(const char *directory)
{
    struct ebb_tls_authority *a = NULL;
    struct ebb_error err = {0};
    if (ebb_tls_authority_open(directory, &a, &err) < 0)
        fail_msg("%s", err.text);
    return a;
}

static int set_up(void **state)
{
    struct fixture *f = ebb_alloc(sizeof *f);
    strcpy(f->directory, "/tmp/ebb-tls-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->authority = open_authority(f->directory);
    assert_int_equal(ebb_tls_server_context(f->authority, "ebb-scheduler", &f->server, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    ebb_tls_context_destroy(f->server);
    ebb_tls_authority_destroy(f->authority);
    ebb_remove_tree(f->directory, NULL);
    free(f);
    return 0;
}

struct pair {
    SSL *client, *server;
};

/* Both sides in memory; returns 0 when both say the handshake is done. */
static int shake_hands(struct pair *p, SSL_CTX *client, SSL_CTX *server, const char *name)
{
    BIO *a, *b;
    BIO_new_bio_pair(&a, 0, &b, 0);
    p->client = SSL_new(client);
    p->server = SSL_new(server);
    SSL_set_bio(p->client, a, a);
    SSL_set_bio(p->server, b, b);
    SSL_set1_host(p->client, name);
    SSL_set_connect_state(p->client);
    SSL_set_accept_state(p->server);
    char byte;
    int c = 0, s = 0;
    for (int i = 0; i < 20; i++) {
        c = SSL_do_handshake(p->client);
        s = SSL_do_handshake(p->server);
        if (c == 1 && s == 1)
            break;
    }
    /* A refusal of the client's certificate reaches it with the first read. */
    if (c == 1 && SSL_read(p->client, &byte, 1) <= 0 &&
        SSL_get_error(p->client, -1) == SSL_ERROR_SSL)
        c = 0;
    return c == 1 && s == 1 ? 0 : -1;
}

static void free_pair(struct pair *p)
{
    SSL_free(p->client);
    SSL_free(p->server);
}

static SSL_CTX *client_of(const char *authority_pem, const char *certificate, const char *key)
{
    SSL_CTX *c = NULL;
    struct ebb_error err = {0};
    if (ebb_tls_client_context(authority_pem, certificate, key, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static void key_is_private_and_the_authority_is_kept(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    EBB_AUTO_FREE char *path = ebb_path_join(f->directory, "ca.key");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct ebb_tls_authority *again = open_authority(f->directory);
    assert_string_equal(ebb_tls_authority_certificate(again),
                        ebb_tls_authority_certificate(f->authority));
    ebb_tls_authority_destroy(again);
}

static void authority_is_completed_after_a_crash_between_its_files(void **state)
{
    struct fixture *f = *state;
    EBB_AUTO_FREE char *certificate = ebb_path_join(f->directory, "ca.crt");
    EBB_AUTO_FREE char *key = ebb_path_join(f->directory, "ca.key");
    struct ebb_error err = {0};
    struct ebb_tls_authority *a = NULL;
    unlink(certificate);
    ebb_tls_authority_destroy(open_authority(f->directory));
    unlink(key);
    assert_int_equal(ebb_tls_authority_open(f->directory, &a, &err), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_file_write_atomic(key, "rubbish", 7, 0600, NULL), 0);
    assert_int_equal(ebb_tls_authority_open(f->directory, &a, &err), EBB_ERR_CORRUPT);
    assert_null(a);
}

static void client_without_certificate_connects_but_has_no_name(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *c = client_of(ebb_tls_authority_certificate(f->authority), NULL, NULL);
    struct pair p;
    assert_int_equal(shake_hands(&p, c, f->server, "ebb-scheduler"), 0);
    char name[80] = "untouched";
    assert_int_equal(ebb_tls_peer_name(p.server, name, sizeof name, NULL), EBB_ERR_DENIED);
    assert_string_equal(name, "untouched");
    assert_int_equal(ebb_tls_peer_name(p.client, name, sizeof name, NULL), 0);
    assert_string_equal(name, "ebb-scheduler");
    assert_int_equal(SSL_version(p.client), TLS1_3_VERSION);
    free_pair(&p);
    ebb_tls_context_destroy(c);
}

static void signed_client_is_known_by_the_name_it_was_given(void **state)
{
    struct fixture *f = *state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer key = {0}, csr = {0}, crt = {0};
    assert_int_equal(ebb_tls_request(&key, &csr, NULL), 0);
    assert_int_equal(
        ebb_tls_authority_sign(f->authority, ebb_buffer_text(&csr), "i-0abc_1", 30, &crt, NULL), 0);
    SSL_CTX *c = client_of(ebb_tls_authority_certificate(f->authority), ebb_buffer_text(&crt),
                           ebb_buffer_text(&key));
    struct pair p;
    assert_int_equal(shake_hands(&p, c, f->server, "ebb-scheduler"), 0);
    char name[80];
    assert_int_equal(ebb_tls_peer_name(p.server, name, sizeof name, NULL), 0);
    assert_string_equal(name, "i-0abc_1");
    assert_int_equal(ebb_tls_peer_name(p.server, name, 4, NULL), EBB_ERR_DENIED);
    free_pair(&p);
    ebb_tls_context_destroy(c);
}

static void wrong_server_name_is_refused(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *c = client_of(ebb_tls_authority_certificate(f->authority), NULL, NULL);
    struct pair p;
    assert_int_equal(shake_hands(&p, c, f->server, "someone-else"), -1);
    free_pair(&p);
    ebb_tls_context_destroy(c);
}

static void another_authority_is_refused_on_both_sides(void **state)
{
    struct fixture *f = *state;
    char directory[] = "/tmp/ebb-tls-XXXXXX";
    assert_non_null(mkdtemp(directory));
    struct ebb_tls_authority *other = open_authority(directory);
    SSL_CTX *c = client_of(ebb_tls_authority_certificate(other), NULL, NULL);
    struct pair p;
    assert_int_equal(shake_hands(&p, c, f->server, "ebb-scheduler"), -1);
    free_pair(&p);
    ebb_tls_context_destroy(c);

    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer key = {0}, csr = {0}, crt = {0};
    assert_int_equal(ebb_tls_request(&key, &csr, NULL), 0);
    assert_int_equal(ebb_tls_authority_sign(other, ebb_buffer_text(&csr), "i-0abc", 30, &crt, NULL),
                     0);
    c = client_of(ebb_tls_authority_certificate(f->authority), ebb_buffer_text(&crt),
                  ebb_buffer_text(&key));
    assert_int_equal(shake_hands(&p, c, f->server, "ebb-scheduler"), -1);
    free_pair(&p);
    ebb_tls_context_destroy(c);
    ebb_tls_authority_destroy(other);
    ebb_remove_tree(directory, NULL);
}

static void agent_certificate_cannot_stand_in_for_the_server(void **state)
{
    struct fixture *f = *state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer key = {0}, csr = {0}, crt = {0};
    assert_int_equal(ebb_tls_request(&key, &csr, NULL), 0);
    assert_int_equal(ebb_tls_authority_sign(f->authority, ebb_buffer_text(&csr), "ebb-scheduler",
                                            30, &crt, NULL),
                     0);
    SSL_CTX *fake = SSL_CTX_new(TLS_server_method());
    BIO *b = BIO_new_mem_buf(crt.data, (int)crt.len);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    b = BIO_new_mem_buf(key.data, (int)key.len);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    BIO_free(b);
    assert_int_equal(SSL_CTX_use_certificate(fake, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(fake, k), 1);
    SSL_CTX *c = client_of(ebb_tls_authority_certificate(f->authority), NULL, NULL);
    struct pair p;
    assert_int_equal(shake_hands(&p, c, fake, "ebb-scheduler"), -1);
    free_pair(&p);
    SSL_CTX_free(fake);
    X509_free(x);
    EVP_PKEY_free(k);
    ebb_tls_context_destroy(c);
}

static void old_protocols_are_refused(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
    struct pair p;
    assert_int_equal(shake_hands(&p, c, f->server, "ebb-scheduler"), -1);
    free_pair(&p);
    SSL_CTX_free(c);
}

static void bad_requests_are_input_errors(void **state)
{
    struct fixture *f = *state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer key = {0}, csr = {0}, crt = {0};
    struct ebb_error err = {0};
    assert_int_equal(ebb_tls_authority_sign(f->authority, "", "i-1", 30, &crt, &err),
                     EBB_ERR_INPUT);
    assert_int_equal(ebb_tls_authority_sign(f->authority, "-----BEGIN x", "i-1", 30, &crt, &err),
                     EBB_ERR_INPUT);
    assert_int_equal(ebb_tls_request(&key, &csr, NULL), 0);
    assert_int_equal(
        ebb_tls_authority_sign(f->authority, ebb_buffer_text(&csr), "", 30, &crt, &err),
        EBB_ERR_INPUT);
    assert_int_equal(
        ebb_tls_authority_sign(f->authority, ebb_buffer_text(&csr), "two words", 30, &crt, &err),
        EBB_ERR_INPUT);
    csr.data[csr.len / 2] ^= 1;
    assert_true(ebb_tls_authority_sign(f->authority, ebb_buffer_text(&csr), "i-1", 30, &crt, &err) <
                0);
    assert_int_equal(crt.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(key_is_private_and_the_authority_is_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(authority_is_completed_after_a_crash_between_its_files,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_without_certificate_connects_but_has_no_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(signed_client_is_known_by_the_name_it_was_given, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(wrong_server_name_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_authority_is_refused_on_both_sides, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(agent_certificate_cannot_stand_in_for_the_server, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(old_protocols_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_requests_are_input_errors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

// OpenSSL's macros, which Swift cannot see.

static inline void pgha_ssl_ctx_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }
static inline int pgha_ssl_ctx_set_min_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline void pgha_ssl_ctx_no_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static const uint64_t pgha_ssl_options =
    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
    SSL_OP_SINGLE_ECDH_USE | SSL_OP_SINGLE_DH_USE;
static const long pgha_ssl_modes = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS;

static inline void pgha_ssl_ctx_set_read_ahead(SSL_CTX *context) { SSL_CTX_set_read_ahead(context, 1); }
static inline void pgha_ssl_set_server_name(SSL *connection, const char *name) {
    (void)SSL_set_tlsext_host_name(connection, name);
}
static inline const EVP_MD *pgha_digest(int nid) { return EVP_get_digestbynid(nid); }

/// Never asks at the terminal for a key's passphrase.
static int pgha_no_passphrase(char *buffer, int size, int writing, void *data) {
    (void)buffer, (void)size, (void)writing, (void)data;
    return -1;
}
static inline void pgha_ssl_ctx_no_passphrase(SSL_CTX *context) {
    SSL_CTX_set_default_passwd_cb(context, pgha_no_passphrase);
}

/// The protocol's name with its length in front (PostgreSQL 17, `PG_ALPN_PROTOCOL`).
static const unsigned char pgha_alpn[] = {10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};

static int pgha_alpn_select(
    SSL *connection, const unsigned char **selected, unsigned char *length, const unsigned char *offered,
    unsigned int offered_length, void *data) {
    (void)connection, (void)data;
    int result = SSL_select_next_proto(
        (unsigned char **)selected, length, pgha_alpn, sizeof pgha_alpn, offered, offered_length);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}
/// Clients that offer protocols must offer this one.
static inline void pgha_ssl_ctx_select_alpn(SSL_CTX *context) {
    SSL_CTX_set_alpn_select_cb(context, pgha_alpn_select, NULL);
}
static inline void pgha_ssl_offer_alpn(SSL *connection) {
    (void)SSL_set_alpn_protos(connection, pgha_alpn, sizeof pgha_alpn);
}
static inline int pgha_ssl_has_alpn(const SSL *connection) {
    const unsigned char *name;
    unsigned int length;
    SSL_get0_alpn_selected(connection, &name, &length);
    return length > 0;
}
static inline int pgha_print_rfc2253(BIO *output, const X509_NAME *name) {
    return X509_NAME_print_ex(output, name, 0, XN_FLAG_RFC2253);
}

/// What the two functions below say where there is no certificate.
static const int64_t pgha_no_expiry = INT64_MAX;

static inline int64_t pgha_earlier_expiry(int64_t known, const X509 *certificate) {
    struct tm parts;
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return known;
    int64_t expiry = (int64_t)timegm(&parts);
    return expiry < known ? expiry : known;
}
/// When the first of the own certificate and its chain expires, in seconds since 1970.
static inline int64_t pgha_ssl_ctx_expiry(SSL_CTX *context) {
    int64_t expiry = pgha_earlier_expiry(pgha_no_expiry, SSL_CTX_get0_certificate(context));
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++) expiry = pgha_earlier_expiry(expiry, sk_X509_value(chain, i));
    return expiry;
}
/// When the first of the trusted authorities expires, in seconds since 1970. Before connections use the context: their
/// look-ups sort what this walks over.
static inline int64_t pgha_ssl_ctx_authority_expiry(SSL_CTX *context) {
    int64_t expiry = pgha_no_expiry;
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
        expiry = pgha_earlier_expiry(expiry, X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)));
    return expiry;
}

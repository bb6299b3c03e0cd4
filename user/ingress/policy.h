/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_POLICY_H
#define INGRESS_POLICY_H

/*
 * What the annotations of one Ingress ask for, as typed values: no text is ever generated from them. Immutable and counted; any
 * thread may hold and drop one. Every annotation may be written with "nginx.ingress.kubernetes.io/" or, which goes before,
 * "sluice.dev/"; docs and notes come from the table that parses them (policy_table.h).
 *
 * A value that cannot be taken is noted and leaves its field as if it had not been written; only where that would open what was
 * meant to be closed (source ranges, authentication), everything is refused instead (`closed`).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/address.h"
#include "core/model_ingress.h"
#include "ingress/upstream.h"

struct auth_users;
struct match;

struct policy_list {
	const char *const *item;
	size_t n;
};

struct policy_cidrs {
	const struct cidr *item;
	size_t n;
};

/* Of a Secret; NULL: none. */
struct policy_ref {
	const char *namespace;
	const char *name;
};

enum policy_protocol { POLICY_HTTP, POLICY_HTTPS, POLICY_GRPC, POLICY_GRPCS };

/* When a request is tried again at another endpoint; with UPSTREAM_ERROR and _TIMEOUT the budget decides, too. */
enum {
	POLICY_NEXT_ERROR = 1 << 0,          /* connect, reset, closed before an answer's byte */
	POLICY_NEXT_TIMEOUT = 1 << 1,        /* connect or first byte */
	POLICY_NEXT_INVALID_HEADER = 1 << 2, /* the answer was none */
	POLICY_NEXT_500 = 1 << 3,
	POLICY_NEXT_502 = 1 << 4,
	POLICY_NEXT_503 = 1 << 5,
	POLICY_NEXT_504 = 1 << 6,
	POLICY_NEXT_403 = 1 << 7,
	POLICY_NEXT_404 = 1 << 8,
	POLICY_NEXT_429 = 1 << 9,
	POLICY_NEXT_NON_IDEMPOTENT = 1 << 10, /* POST, PATCH and LOCK too */
};

/* A piece of a text that is made for each request. */
enum policy_part_kind {
	POLICY_PART_TEXT,
	POLICY_PART_URI,         /* $request_uri: path and arguments as received */
	POLICY_PART_URI_ESCAPED, /* $escaped_request_uri: the same, percent-encoded */
	POLICY_PART_PATH,        /* $uri: in the matched form */
	POLICY_PART_ARGS,        /* $args */
	POLICY_PART_ADDR,        /* $remote_addr */
	POLICY_PART_HOST,        /* $host, $http_host, $best_http_host */
	POLICY_PART_SCHEME,      /* $scheme, $pass_access_scheme */
	POLICY_PART_METHOD,      /* $request_method */
	POLICY_PART_HEADER,      /* $http_x */
	POLICY_PART_COOKIE,      /* $cookie_x */
	POLICY_PART_ARG,         /* $arg_x */
};

struct policy_part {
	enum policy_part_kind kind;
	const char *
		text; /* TEXT; or the name of the field ('_' and '-' are alike), cookie, argument */
};

struct policy_text {
	const struct policy_part *part;
	size_t n; /* 0: not set */
};

struct policy_header {
	const char *name;
	const char *value;
};

struct policy_headers {
	const struct policy_header *item;
	size_t n;
};

enum policy_auth { POLICY_AUTH_NONE, POLICY_AUTH_BASIC };
enum policy_samesite {
	POLICY_SAMESITE_UNSET,
	POLICY_SAMESITE_NONE,
	POLICY_SAMESITE_LAX,
	POLICY_SAMESITE_STRICT
};

/* http[s]://host[:port], and what follows. */
struct policy_url {
	const char *
		host; /* NULL: not set; literal IPv6 without brackets; "": the request's own, served here */
	uint16_t port;
	bool tls;
	struct policy_text path; /* with its '/' */
};

/* Which parts of gate.c have something to do: most Ingresses ask for nothing. */
enum {
	POLICY_HAS_RANGES = 1 << 0,
	POLICY_HAS_LIMITS = 1 << 1,
	POLICY_HAS_REDIRECT = 1 << 2,
	POLICY_HAS_CORS = 1 << 3,
	POLICY_HAS_CLIENT_CERT = 1 << 4,
	POLICY_HAS_BASIC = 1 << 5,
	POLICY_HAS_EXTERNAL = 1 << 6,
	POLICY_HAS_AFFINITY = 1 << 7,
	POLICY_HAS_HASH = 1 << 8,
	POLICY_HAS_HEADERS = 1 << 9,
};

#define POLICY_TRIES_UNSAID UINT32_MAX /* --max-tries counts */

struct policy {
	_Atomic unsigned refs;
	unsigned has; /* POLICY_HAS_* */
	const char *
		closed; /* why every request is answered 503 (an annotation that protects cannot be kept); NULL: not so */
	uint64_t
		id; /* hash of the Ingress's namespace/name: of rate buckets, which outlive a policy */

	/* Towards the client. */
	bool ssl_redirect; /* of a host with TLS; default true */
	bool force_ssl_redirect;
	bool preserve_trailing_slash;
	const char *app_root;        /* where "/" leads; NULL: nowhere else */
	struct policy_text redirect; /* permanent-redirect or temporal-redirect */
	unsigned redirect_status;
	bool from_to_www;
	const char *hsts;  /* value of Strict-Transport-Security, as it was given; NULL: none */
	uint64_t body_max; /* bytes; UINT64_MAX: no limit; 0: not said, the process's own counts */
	struct policy_cidrs allow, deny;
	bool has_allow;
	bool satisfy_any; /* ranges or authentication, either is enough */
	struct policy_headers response_headers, request_headers;
	bool access_log; /* default true */

	/* Rates; a client is its address, or what limit_key says. */
	struct {
		uint32_t connections; /* requests at a time; 0: any number */
		uint32_t rps, rpm;    /* 0: not limited */
		uint32_t burst;       /* times the rate; default 5 */
		uint64_t rate;        /* bytes a second of an answer; 0: any */
		uint64_t rate_after;  /* bytes that go out before rate counts */
		struct policy_cidrs exempt;
		struct policy_text key; /* of a client; n = 0: its address */
	} limit;

	struct {
		bool enabled;
		bool any_origin; /* "*" is among the origins */
		struct policy_list origins;
		const char *methods, *headers, *expose; /* lists as text; expose may be NULL */
		bool credentials;
		const char *max_age; /* seconds, as text */
	} cors;

	struct {
		enum policy_auth type;
		const char *realm;
		struct policy_ref secret;
		struct auth_users *users; /* counted; NULL: the Secret is missing */
	} auth;

	struct {
		struct policy_url url;               /* host NULL: not asked */
		const char *method;                  /* default GET */
		struct policy_list response_headers; /* of its answer, for the origin */
		struct policy_text signin;           /* where 401 leads */
		const char *signin_param;            /* default "rd" */
		struct policy_text
			request_redirect; /* X-Auth-Request-Redirect; n = 0: the request's URI */
		bool always_set_cookie;
	} ask;

	struct {
		struct policy_ref secret;
		enum {
			POLICY_VERIFY_ON,
			POLICY_VERIFY_OFF,
			POLICY_VERIFY_OPTIONAL,
			POLICY_VERIFY_OPTIONAL_NO_CA
		} verify;
		unsigned depth;
		const char *error_page; /* where the client is sent that fails; NULL: 400 */
		bool pass_certificate;
		struct match *match_cn; /* of the subject; NULL: any */
	} client_cert;

	/* Towards the origin. */
	enum policy_protocol protocol;
	bool has_protocol; /* said here: goes before the Service's appProtocol */
	uint64_t connect_ns, read_ns, send_ns; /* 0: not said */
	uint64_t wait_ns;                      /* for an endpoint; UINT64_MAX: not said */
	unsigned next;                         /* POLICY_NEXT_* */
	unsigned next_tries;                   /* all tries; 0: not limited; POLICY_TRIES_UNSAID */
	uint64_t next_ns;                      /* time for all tries; 0: not limited */
	const char *vhost;                     /* Host for the origin; NULL: the client's */
	const char *forwarded_prefix;          /* X-Forwarded-Prefix; NULL: none */
	bool service_upstream;                 /* to the Service's own address */
	enum upstream_choice choice;
	struct policy_text hash;
	unsigned hash_bound; /* per cent; 0: none */
	struct {
		struct policy_ref secret;
		bool verify;
		unsigned depth;
		const char *name; /* what the certificate must cover; NULL: the Service's name */
		bool server_name; /* as SNI */
		const char *ciphers;
		bool tls1_2, tls1_3; /* allowed; neither: both */
	} ssl;

	struct {
		bool enabled;
		bool persistent;           /* accepted; both modes keep a client at its endpoint */
		const char *cookie;        /* its name */
		const char *path, *domain; /* NULL: the rule's path; none */
		bool has_expires, has_max_age;
		int64_t expires_s, max_age_s;
		bool secure, has_secure; /* not said: where the request came by TLS */
		enum policy_samesite samesite;
		bool conditional_samesite_none; /* not to browsers that do not understand it */
		bool change_on_failure;
		bool legacy_canary; /* a canary's client is not kept at it */
	} affinity;

	struct {
		bool enabled;
		unsigned weight, weight_total; /* of weight_total (100) */
		const char *header, *header_value;
		struct match *header_pattern; /* counted */
		bool broken_pattern;
		const char *cookie;
	} canary;

	/* Read by routes. */
	struct policy_list server_alias;
};

enum policy_severity {
	POLICY_REFUSED, /* this annotation has no effect, or everything is refused because of it */
	POLICY_WARNING, /* it has, but not as may be thought */
};

/* `reason` names annotation, value and remedy; valid during the call. */
typedef void policy_note_fn(void *ctx, const struct ingress *ingress, enum policy_severity severity,
			    const char *reason);

struct policy_input {
	const struct ingress *ingress;
	/* For auth-secret. NULL: there is none, or it may not be read. May be NULL itself. */
	const struct secret *(*secret)(void *ctx, const char *namespace, const char *name);
	policy_note_fn *note; /* may be NULL */
	void *ctx;
	const char *
		hsts; /* Strict-Transport-Security where the Ingress says nothing; a literal, or NULL: none */
};

/* 0 or -ENOMEM. Nothing of the input is kept. */
int policy_build(const struct policy_input *input, struct policy **ret_policy);
struct policy *policy_hold(const struct policy *policy);
void policy_drop(const struct policy *policy); /* NULL is fine */

/* Has it no annotation that is looked at? Policies of all such Ingresses say the same, but for HSTS: one is enough for all. */
bool policy_is_plain(const struct ingress *ingress);

/* Of nobody: no HSTS; lives as long as the process. */
const struct policy *policy_none(void);

/* The documentation of all annotations as Markdown tables. 0 or -ENOMEM. */
int policy_write_docs(struct buf *out);

#endif

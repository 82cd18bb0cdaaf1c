/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors: a negative code for programs, a chain of text for people, key/value details for both.
 *
 * A function returns 0 (or a non-negative value it documents) or a negative HV_E_*; its last parameter is a
 * `struct hv_err *` that may be NULL and that is written only on failure. Wrap once per layer, with the object in
 * quotes: "open disk 'a.img': no such file". The codes are gRPC's canonical ones, so every client knows them. */
#ifndef HVKIT_ERR_H
#define HVKIT_ERR_H
#include <hvkit/clean.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_PRINTF(fmt, args) __attribute__ ((format (printf, fmt, args)))
#define HV_PUBLIC            __attribute__ ((visibility ("default")))
#define HV_MUST_CHECK        __attribute__ ((warn_unused_result))

#define HV_E_CANCELLED           (-1)  /* the caller gave up, or was disconnected */
#define HV_E_UNKNOWN             (-2)  /* a mutation whose outcome is not known: read the state before trying again */
#define HV_E_INVALID_ARGUMENT    (-3)
#define HV_E_DEADLINE_EXCEEDED   (-4)  /* a read that took too long */
#define HV_E_NOT_FOUND           (-5)  /* is gone, or never was */
#define HV_E_ALREADY_EXISTS      (-6)
#define HV_E_PERMISSION_DENIED   (-7)
#define HV_E_RESOURCE_EXHAUSTED  (-8)  /* a documented limit, memory, disk space */
#define HV_E_FAILED_PRECONDITION (-9)  /* wrong state for this operation */
#define HV_E_ABORTED             (-10) /* another operation holds the key, or pre-empted this one */
#define HV_E_OUT_OF_RANGE        (-11) /* an event cursor that is too old, or of another epoch */
#define HV_E_UNIMPLEMENTED       (-12) /* this backend or node cannot; the text says why and what would help */
#define HV_E_INTERNAL            (-13)
#define HV_E_UNAVAILABLE         (-14) /* does not answer; it may be alive */
#define HV_E_DATA_LOSS           (-15) /* a record or an image that is damaged */
#define HV_E_UNAUTHENTICATED     (-16)

struct hv_err; /* opaque; its memory belongs to whoever created it */

/* The core's error functions. Any thread; an hv_err is used by one thread at a time. `struct_size` first: append only. */
struct hv_err_api {
  uint32_t struct_size, reserved;
  void (*setv) (struct hv_err *, int32_t code, const char *fmt, va_list) HV_PRINTF (3, 0); /* replaces code and text */
  void (*wrapv) (struct hv_err *, const char *fmt, va_list) HV_PRINTF (2, 0);              /* prefixes "text: " */
  void (*data) (struct hv_err *, const char *key, const char *value);                      /* adds data.key = value (copied) */
  int32_t (*code) (const struct hv_err *);                                                 /* 0 while unset */
  const char *(*message) (const struct hv_err *);                                          /* "" while unset; owned by the error */
  const char *(*data_get) (const struct hv_err *, const char *key);                        /* NULL if absent */
  void (*move) (struct hv_err *to, struct hv_err *from);                                   /* `from` is unset afterwards */
  void (*free) (struct hv_err *);                                                          /* NULL is fine */
};

/* What every hv_err begins with; the rest is the core's. */
struct hv_err_head {
  const struct hv_err_api *api;
};

static inline const struct hv_err_api *
hv_err_api_of (const struct hv_err *e)
{
  return ((const struct hv_err_head *) (const void *) e)->api;
}

/* Sets code and text and returns `code`, so that a failing path is one statement: return hv_err_set (err, …). */
HV_PRINTF (3, 4)
static inline int
hv_err_set (struct hv_err *e, int32_t code, const char *fmt, ...)
{
  if (e != NULL) {
    va_list ap;
    va_start (ap, fmt);
    hv_err_api_of (e)->setv (e, code, fmt, ap);
    va_end (ap);
  }
  return code;
}

/* Prefixes the text that is there with "fmt: " and returns `code`. */
HV_PRINTF (3, 4)
static inline int
hv_err_wrap (struct hv_err *e, int32_t code, const char *fmt, ...)
{
  if (e != NULL) {
    va_list ap;
    va_start (ap, fmt);
    hv_err_api_of (e)->wrapv (e, fmt, ap);
    va_end (ap);
  }
  return code;
}

/* Adds a machine-readable detail (data.reason = "kvm_absent") to an error that is set. */
static inline void
hv_err_data (struct hv_err *e, const char *key, const char *value)
{
  if (e != NULL)
    hv_err_api_of (e)->data (e, key, value);
}

static inline int32_t
hv_err_code (const struct hv_err *e)
{
  return e == NULL ? 0 : hv_err_api_of (e)->code (e);
}

static inline const char *
hv_err_message (const struct hv_err *e)
{
  return e == NULL ? "" : hv_err_api_of (e)->message (e);
}

static inline const char *
hv_err_data_get (const struct hv_err *e, const char *key)
{
  return e == NULL ? NULL : hv_err_api_of (e)->data_get (e, key);
}

static inline void
hv_err_free (struct hv_err *e)
{
  if (e != NULL)
    hv_err_api_of (e)->free (e);
}
HV_CLEAN_DEFINE (hv_err, struct hv_err, hv_err_free)

/* "NOT_FOUND" for HV_E_NOT_FOUND, "OK" for 0, "UNKNOWN" for what is not in the list. Static text. */
static inline const char *
hv_err_name (int32_t code)
{
  static const char *const names[] = { "OK",          "CANCELLED",        "UNKNOWN",             "INVALID_ARGUMENT",  "DEADLINE_EXCEEDED", "NOT_FOUND",
                                       "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",        "OUT_OF_RANGE",
                                       "UNIMPLEMENTED", "INTERNAL",        "UNAVAILABLE",         "DATA_LOSS",         "UNAUTHENTICATED" };
  return code > 0 || code < -16 ? "UNKNOWN" : names[-code];
}

/* The HV_E_* that an errno value means; HV_E_INTERNAL for what has no better name. The text stays the caller's to write. */
int hv_err_from_errno (int errnum);

/* Sets the code of `errnum` and the text "fmt: strerror". Returns the code. In libhvkit-plugin, as hv_err_from_errno. */
HV_PRINTF (3, 4) int hv_err_sys (struct hv_err *e, int errnum, const char *fmt, ...);

#ifdef __cplusplus
}
#endif
#endif

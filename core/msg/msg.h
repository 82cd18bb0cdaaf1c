/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/msg: messages, and the fence that every byte from outside passes before anything decodes it. */
#ifndef HV_CORE_MSG_H
#define HV_CORE_MSG_H
#include <hvkit/plugin.h>

/* --- messages: immutable bytes (one msgpack value) + owned descriptors; atomically ref-counted; any thread --- */

/* Copies `n` bytes, in one allocation. Takes over the descriptors, also on failure. NULL when out of memory. */
struct hv_msg *hv_msg_new (const void *data, uint64_t n, const int32_t *fds, uint32_t fd_count);
/* Takes the writer's buffer over (no copy) and leaves it empty, also on failure. NULL if the writer failed, or out of memory. */
struct hv_msg *hv_msg_from_pack (struct hv_pack *);
struct hv_msg *hv_msg_ref (struct hv_msg *);
void hv_msg_unref (struct hv_msg *); /* NULL is fine; the last one closes the descriptors */
struct hv_bin hv_msg_bytes (const struct hv_msg *);
const int32_t *hv_msg_fds (const struct hv_msg *, uint32_t *ret_count); /* borrowed */
HV_CLEAN_DEFINE (hv_msg, struct hv_msg, hv_msg_unref)

/* --- the fence: iterative, resumable, allocation-free ---
 * Finds where one msgpack value ends and proves that it is bounded: depth, declared children and lengths never exceed
 * what the frame may still hold. Feed it more bytes of the same buffer as they come; it never looks twice at one. */
#define HV_FENCE_DEPTH_MAX 32u
struct hv_fence {
  uint64_t limit;                      /* bytes one value may have */
  uint64_t at;                         /* bytes of it scanned so far */
  uint64_t skip;                       /* bytes of a string body still to come */
  uint64_t owed;                       /* values that must still follow, over all open containers: each needs a byte */
  uint32_t depth;
  uint32_t left[HV_FENCE_DEPTH_MAX];   /* values still to come, per open container */
  uint8_t started;
};
void hv_fence_init (struct hv_fence *, uint64_t limit);
#define HV_FENCE_MORE     0 /* incomplete */
#define HV_FENCE_DONE     1 /* *ret_size bytes are one whole value */
#define HV_FENCE_TOO_DEEP (-1)
#define HV_FENCE_TOO_LONG (-2) /* declares more than the limit leaves room for */
#define HV_FENCE_INVALID  (-3) /* 0xc1 */
/* data, n: everything received of this value so far, from its first byte (the buffer may move between calls). */
int hv_fence_scan (struct hv_fence *, const uint8_t *data, uint64_t n, uint64_t *ret_size);
const char *hv_fence_strerror (int r); /* "nested deeper than 32" … */

/* One whole value that must fill the bytes exactly: INVALID_ARGUMENT otherwise. */
int hv_fence_check (struct hv_bin, uint64_t limit, struct hv_err *);

/* --- the head of a msgpack-RPC frame, zero-copy --- */
struct hv_frame {
  uint32_t kind; /* 0 request, 1 response, 2 notification */
  uint32_t id;
  struct hv_bin method; /* text; request, notification */
  struct hv_bin args;   /* whole value: the params array of a request/notification (see hv_frame_args), the result of a response */
  struct hv_bin error;  /* response: whole value; nil when it succeeded */
};
/* `frame` passed the fence. Method names are ≤ 100 bytes. INVALID_ARGUMENT says what is wrong. */
int hv_frame_parse (struct hv_bin frame, struct hv_frame *ret, struct hv_err *);
/* The one argument map inside params: [], [[]] and [nil] are the empty map. Returns the bytes of a map. */
int hv_frame_args (struct hv_bin params, struct hv_bin *ret, struct hv_err *);

/* --- JSON ⇄ msgpack (manifests, CLI): depth and size are bounded before parsing --- */
/* Appends one value. INVALID_ARGUMENT with line and column: no JSON, duplicate keys, above 32 levels or 16 MiB. */
int hv_json_to_pack (const char *text, uint64_t n, struct hv_pack *, struct hv_err *);
/* malloc'd text for people and -o json, always valid UTF-8; bin as base64, other keys than text as text. `indent` spaces per
 * level; 0: one line. NULL when out of memory or when the bytes are not one value that would pass the fence. */
char *hv_pack_to_json (struct hv_bin value, int indent);
#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/store: one document per key, durable when put returns.
 *
 * A document is a file <dir>/<key>.rec: a header {magic "HVREC", format version, generation, payload length, crc32c} and the
 * payload (msgpack). Written tmp → fsync → rename → fsync(dir), unless the file says the same already. A file that cannot be read is moved to <dir>/quarantine/ and
 * reported as DATA_LOSS. A newer format version is refused, older ones migrate. After a failed fsync the store is read-only:
 * puts and deletes answer UNAVAILABLE, nothing else changes. All functions block; they may run on any thread, one at a time
 * per store (an internal lock sees to it). */
#ifndef HV_CORE_STORE_H
#define HV_CORE_STORE_H
#include <hvkit/plugin.h>

struct hv_store;
/* Creates the directory (0700) if it is absent; removes left-over temporary files; makes what it finds durable. */
int hv_store_open (const char *dir, struct hv_store **ret, struct hv_err *);
void hv_store_close (struct hv_store *);
int hv_store_put (struct hv_store *, const char *key, struct hv_bin doc, struct hv_err *);
/* *ret is malloc'd. NOT_FOUND, DATA_LOSS (quarantined now, or found in quarantine and not replaced since). */
int hv_store_get (struct hv_store *, const char *key, struct hv_pack *ret, struct hv_err *);
int hv_store_delete (struct hv_store *, const char *key, struct hv_err *);
/* Keys in order, including those in quarantine. *ret is malloc'd, one block: free (ret->items). */
int hv_store_list (struct hv_store *, struct hv_strs *ret, struct hv_err *);
int hv_store_read_only (const struct hv_store *);
/* Fault injection for tests: the nth next write/fsync/rename fails with errnum (0 = off). Process-wide. */
void hv_store_fault (const char *step, int nth, int errnum);
uint32_t hv_crc32c (const void *, uint64_t n);
#endif

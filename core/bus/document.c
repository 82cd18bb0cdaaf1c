/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durable documents of an instance: encoded here, written and read on its pool. */
#include "core/bus/host.h"
#include "core/limits.h"
#include <stdlib.h>
#include <string.h>

struct store_job {
  struct hv_store *store;
  const char *key;
  struct hv_bin doc;
  struct hv_pack *got;
  struct hv_strs *keys;
  struct hv_err *err;
};

static int
store_put_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_put (j->store, j->key, j->doc, j->err);
}

static int
store_get_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_get (j->store, j->key, j->got, j->err);
}

static int
store_delete_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_delete (j->store, j->key, j->err);
}

static int
store_list_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_list (j->store, j->keys, j->err);
}

int
hv_host_store_put (struct hv_host *h, const char *key, const struct hv_record *rec, const void *doc, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  int r = hv_record_encode (rec, doc, &p, err);
  struct store_job j = { .store = hv_instance_of (h)->store, .key = key, .doc = { p.data, p.size }, .err = err };
  if (r == 0)
    r = hv_host_offload (h, store_put_job, &j, 0, err);
  hv_pack_clear (&p);
  return r < 0 ? hv_err_wrap (err, r, "store '%s'", key) : 0;
}

int
hv_host_store_get (struct hv_host *h, const char *key, const struct hv_record *rec, void *doc, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  struct store_job j = { .store = hv_instance_of (h)->store, .key = key, .got = &p, .err = err };
  int r = hv_host_offload (h, store_get_job, &j, 0, err);
  struct hv_bin b = { NULL, p.size };
  uint8_t *copy = r == 0 ? hv_host_alloc (h, p.size) : NULL;
  if (r == 0 && copy == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0) {
    memcpy (copy, p.data, p.size);
    b.data = copy;
    r = hv_fence_check (b, HV_LIMIT_RECORD_BYTES, err);
  }
  hv_pack_clear (&p);
  if (r == 0) {
    struct hv_decode how = { .arena = hv_instance_arena (hv_instance_of (h)), .flags = HV_DECODE_OPEN };
    memset (doc, 0, rec->c_size);
    r = hv_record_decode (rec, b, &how, doc, err);
    if (r < 0)
      r = hv_err_wrap (err, HV_E_DATA_LOSS, "not a valid record");
  }
  return r < 0 ? hv_err_wrap (err, r, "read '%s'", key) : 0;
}

int
hv_host_store_delete (struct hv_host *h, const char *key, struct hv_err *err)
{
  struct store_job j = { .store = hv_instance_of (h)->store, .key = key, .err = err };
  int r = hv_host_offload (h, store_delete_job, &j, 0, err);
  return r < 0 ? hv_err_wrap (err, r, "delete '%s'", key) : 0;
}

int
hv_host_store_list (struct hv_host *h, struct hv_strs *ret, struct hv_err *err)
{
  struct hv_strs keys = { NULL, 0 };
  struct store_job j = { .store = hv_instance_of (h)->store, .keys = &keys, .err = err };
  int r = hv_host_offload (h, store_list_job, &j, 0, err);
  if (r < 0)
    return r;
  const char **items = hv_host_alloc (h, (keys.count + 1) * sizeof *items);
  for (uint32_t k = 0; items != NULL && k < keys.count; k++) {
    uint64_t n = strlen (keys.items[k]) + 1;
    char *copy = hv_host_alloc (h, n);
    if (copy != NULL)
      memcpy (copy, keys.items[k], n);
    items[k] = copy;
  }
  *ret = (struct hv_strs){ items, items != NULL ? keys.count : 0 };
  free ((void *) (uintptr_t) keys.items);
  return items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "list of documents: out of memory");
}

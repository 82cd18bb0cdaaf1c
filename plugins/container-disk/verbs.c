/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, get, remove, release: what is in the cache. */
#include "container-disk.h"
#include "ref.h"
#include <stdlib.h>
#include <string.h>

#define PAGE 500u

struct row {
  struct cd_image *image;
  const char *name; /* reference; the digest where none leads to it */
};

static int
by_name (const void *a, const void *b)
{
  return strcmp (((const struct row *) a)->name, ((const struct row *) b)->name);
}

/* One for each reference, sorted; the call's. */
static int
rows (struct cd *cd, struct row **ret, uint32_t *ret_count, struct hv_err *err)
{
  struct cd_document d;
  uint32_t n = 0, most = 1;
  for (uint32_t i = 0; i < cd->image_count; i++)
    most += cd_image_read (cd->images[i], &d, NULL) == 0 ? d.names.count + 1 : 0;
  struct row *all = hv_alloc (cd->host, (uint64_t) most * sizeof *all);
  if (all == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < cd->image_count; i++) {
    if (cd->images[i]->gone || cd_image_read (cd->images[i], &d, NULL) < 0)
      continue;
    for (uint32_t k = 0; k < d.names.count && n < most; k++)
      all[n++] = (struct row){ cd->images[i], d.names.items[k].image };
    if (d.names.count == 0 && n < most)
      all[n++] = (struct row){ cd->images[i], d.digest };
  }
  qsort (all, n, sizeof *all, by_name);
  *ret = all;
  *ret_count = n;
  return 0;
}

int
cd_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct cd *cd = self;
  const struct hv_list_args *a = args;
  struct hv_images *ret = result;
  struct row *all = NULL;
  uint32_t n = 0, first = 0;
  (void) call;
  int r = rows (cd, &all, &n, err);
  if (r < 0)
    return r;
  while (HV_HAS (a, continue_from) && first < n && strcmp (all[first].name, a->continue_from) < 0)
    first++;
  uint32_t most = HV_HAS (a, limit) ? a->limit : PAGE;
  ret->items.items = hv_alloc (cd->host, ((uint64_t) n + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = first; r == 0 && i < n && ret->items.count < most; i++)
    r = cd_image_fill (all[i].image, all[i].name, &ret->items.items[ret->items.count++], err);
  if (first + ret->items.count < n)
    HV_SET (ret, continue_from, all[first + ret->items.count].name);
  HV_SET (ret, cache_bytes, cd_cache_bytes (cd));
  HV_SET (ret, quota_bytes, cd->config->quota_bytes);
  return r;
}

/* By reference, or by digest. */
static struct cd_image *
find (struct cd *cd, const char *image, struct hv_err *err)
{
  struct cd_document d;
  for (uint32_t i = 0; i < cd->image_count; i++) {
    struct cd_image *one = cd->images[i];
    if (one->gone || cd_image_read (one, &d, NULL) < 0)
      continue;
    if (strcmp (d.digest, image) == 0)
      return one;
    for (uint32_t k = 0; k < d.names.count; k++)
      if (strcmp (d.names.items[k].image, image) == 0)
        return one;
  }
  (void) hv_err_set (err, HV_E_NOT_FOUND, "image '%.500s' is not in the cache", image);
  return NULL;
}

int
cd_get (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_image_ref *a = args;
  struct cd_image *i = find (self, a->image, err);
  (void) call;
  return i != NULL ? cd_image_fill (i, a->image, result, err) : HV_E_NOT_FOUND;
}

int
cd_remove (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_image_ref *a = args;
  struct cd_image *i = find (self, a->image, err);
  (void) call;
  (void) result;
  if (i == NULL)
    return HV_E_NOT_FOUND;
  int r = cd_image_remove (i, err);
  return r < 0 ? hv_err_wrap (err, r, "remove image '%.500s'", a->image) : 0;
}

/* Who depends on it may not know any more which image it was: then it is none, and nothing is left to do. */
int
cd_release (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_image_release_args *a = args;
  struct cd *cd = self;
  int r = 0;
  (void) call;
  (void) result;
  if (HV_HAS (a, image)) {
    struct cd_image *i = find (cd, a->image, err);
    r = i != NULL ? cd_image_release (i, a->used_by, err) : HV_E_NOT_FOUND;
    return r < 0 ? hv_err_wrap (err, r, "release image '%.500s'", a->image) : 0;
  }
  for (uint32_t i = 0; r == 0 && i < cd->image_count; i++)
    if (!cd->images[i]->gone)
      r = cd_image_release (cd->images[i], a->used_by, err);
  return r;
}
